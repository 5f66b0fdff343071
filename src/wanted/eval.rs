//! Evaluation: from a plan and facts to yes, no, or why that cannot be told.
//!
//! An unknown fact is an error only where the answer depends on it: `or` with a side that matches needs no other side.

use std::sync::atomic::Ordering;

use super::ast::{Balance, Comparison, Joint};
use super::balanced::{Balancer, Fill, Number};
use super::facts::{Assumed, Fact, Facts, UNKEPT, Unknown};
use super::glob::Glob;
use super::number;
use super::plan::{Count, Mask, Step, Test, Wanted};
use super::question::{Choice, Question};
use super::repos::{Repo, RepoSet};
use crate::name::is_secure;

type Answer = Result<bool, Unknown>;

impl<F: Facts + ?Sized> Question<'_, F> {
    pub(in crate::wanted) fn step(&self, step: &Step, repo: Repo, assumed: &Assumed) -> Answer {
        match step {
            Step::Test(test, word) => match self.facts.assumed_answer(word) {
                Some(answer) => Ok(answer),
                None => self.test(test, repo, assumed),
            },
            Step::Not(inner) => self.step(inner, repo, assumed).map(|matches| !matches),
            Step::Expanded(_, inner) => self.step(inner, repo, assumed),
            Step::Sequence(list) => {
                // Not `?`: what is unknown on the left may not matter.
                let mut left = Ok(true);
                for (joint, right) in list {
                    if !decides(&left, *joint) {
                        left = join(left, *joint, self.step(right, repo, assumed));
                    }
                }
                left
            }
        }
    }

    pub(in crate::wanted) fn test(&self, test: &Test, repo: Repo, assumed: &Assumed) -> Answer {
        match test {
            Test::Constant(matches) => Ok(*matches),
            Test::Include(glob) => self.facts.file()?.map_or(Ok(false), |file| like(glob, file)),
            // Not what the manual says of a key without a file, but recorded: the opposite of `include`.
            Test::Exclude(glob) => self.facts.file()?.map_or(Ok(true), |file| Ok(!like(glob, file)?)),
            Test::Copies { of, least } => Ok(self.copies(of, assumed)? >= *least),
            Test::LackingCopies { of, least, approximately } => {
                let demanded = if *approximately { self.policy.numcopies } else { self.numcopies()? };
                Ok(demanded - self.copies(of, assumed)? >= *least)
            }
            Test::InBackend(name) => Ok(self.facts.key()?.backend() == &name[..]),
            Test::SecureHash => Ok(is_secure(self.facts.key()?)),
            Test::InAllGroup(members) if members.is_empty() => Ok(true),
            Test::InAllGroup(members) => Ok(self.counted(assumed)?.common(members) == members.len()),
            Test::OnlyInGroup(members) if members.is_empty() => Ok(false),
            Test::OnlyInGroup(members) => {
                let counted = self.counted(assumed)?;
                let inside = counted.common(members);
                Ok(inside > 0 && inside == counted.len() && self.holders()?.strangers == 0)
            }
            // What is not known is smaller than anything: recorded.
            Test::SmallerThan(bytes) => Ok(self.size()?.is_none_or(|size| i128::from(size) < *bytes)),
            Test::LargerThan(bytes) => Ok(self.size()?.is_some_and(|size| i128::from(size) > *bytes)),
            Test::Metadata { field, value } => {
                any(|found| self.facts.metadata(field, found), |found| matches_value(value, found))
            }
            Test::Url(glob) => any(|found| self.facts.urls(found), |url| like(glob, url)),
            Test::Present => self.present(repo, assumed),
            Test::InPreferredDir => {
                let file = self.facts.file()?.unwrap_or_default();
                let mut parts = file.rsplit(|byte| *byte == b'/').skip(1);
                Ok(parts.next() == Some(&self.policy.members[repo.0].preferreddir))
            }
            Test::Unused => self.facts.unused(),
            Test::Mime(what, glob) => like(glob, self.facts.mime(*what)?),
            Test::Balanced { how, group, picks } => self.balanced(*how, *group, picks, repo, assumed),
        }
    }

    /// As it was recorded: `balanced=G:N` is `(fullybalanced=G:N and not copies=G:N) or present`, and `fullybalanced=G:N`
    /// where it is rebalanced.
    fn balanced(&self, how: Balance, group: Option<usize>, picks: &Count, repo: Repo, assumed: &Assumed) -> Answer {
        let keeps = !how.fully && !self.policy.rebalance;
        if keeps && self.present(repo, assumed)? {
            return Ok(true);
        }
        // Without a key git-annex does not come as far as the group.
        self.facts.key()?;
        let Some(group) = group else { return Ok(false) };
        let members = &self.policy.groups[group].members;
        if !members.contains(repo) {
            return Ok(false);
        }
        let count = match picks {
            Count::Number(count) => *count,
            Count::Lacking(mask) => self.numcopies()? - self.copies(mask, assumed)?,
        };
        if keeps {
            let counted = self.counted(assumed)?.common(members);
            if i64::try_from(counted).unwrap_or(i64::MAX) >= count {
                return Ok(false);
            }
        }
        self.is_picked(repo, Choice { group, by_size: how.by_size, count })
    }

    fn is_picked(&self, repo: Repo, choice: Choice) -> Answer {
        if let Some((_, picks)) = self.picked.borrow().iter().find(|(known, _)| *known == choice) {
            return Ok(picks.contains(repo));
        }
        let picks = self.pick(choice)?;
        let picked = picks.contains(repo);
        self.picked.borrow_mut().push((choice, picks));
        Ok(picked)
    }

    fn pick(&self, choice: Choice) -> Result<RepoSet, Unknown> {
        if let Some(ranking) = self.facts.ranking(choice.group, choice.by_size) {
            return Ok(ranking.into_iter().take(usize::try_from(choice.count).unwrap_or(0)).collect());
        }
        let balancer = &self.policy.groups[choice.group].balancer;
        let members = balancer.members();
        // As the key tells it, whatever else is known of its content. Source: recorded.
        let size = self.facts.key_size()?.unwrap_or(0);
        let fill = |member: &Repo| {
            let known = &self.policy.members[member.0];
            Ok(match known.maxsize {
                None => Fill { max: None, used: 0, has: false },
                Some(max) => Fill {
                    max: Some(max),
                    used: self.facts.used(*member, &known.uuid)?,
                    has: self.holders()?.recorded.contains(*member),
                },
            })
        };
        let (mut by_size, mut candidates) = (choice.by_size, RepoSet::new());
        // Whether anybody is full is asked only where it matters.
        let switches = self.policy.rebalance && choice.count > 1;
        let mut fills = Vec::new();
        let mut not_full = 0;
        for member in members {
            let fill = fill(member)?;
            if fill.fits(size) {
                candidates.insert(*member);
            }
            if switches && !fill.is_full(self.policy.threshold) {
                not_full += 1;
            }
            if by_size || switches {
                fills.push(fill);
            }
        }
        by_size |= switches && not_full < choice.count;
        if by_size {
            return Ok(balancer.by_size(&candidates, size, &fills, choice.count));
        }
        let number = self.number(choice.group, balancer)?;
        Ok(balancer.by_number(&candidates, &number, choice.count))
    }

    /// The number of the key in a group: computed once, or even once for many questions.
    fn number(&self, group: usize, balancer: &Balancer) -> Result<Number, Unknown> {
        let kept = self.facts.kept_number(group);
        if let Some(known) = kept.map(|kept| kept.load(Ordering::Relaxed)).filter(|known| *known != UNKEPT) {
            return Ok(Number::Rest(known));
        }
        let mut numbers = self.numbers.borrow_mut();
        if let Some((_, known)) = numbers.iter().find(|(of, _)| *of == group) {
            return Ok(*known);
        }
        let number = balancer.number(self.facts.key()?);
        match (kept, number) {
            (Some(kept), Number::Rest(rest)) => kept.store(rest, Ordering::Relaxed),
            _ => numbers.push((group, number)),
        }
        Ok(number)
    }

    fn present(&self, repo: Repo, assumed: &Assumed) -> Answer {
        if assumed.has.contains(repo) {
            return Ok(true);
        }
        match self.facts.present(repo, self.policy.uuid(repo))? {
            Some(present) => Ok(present),
            None => Ok(self.holders()?.alive.contains(repo)),
        }
    }

    /// Copies that count, of those in the mask.
    fn copies(&self, of: &Mask, assumed: &Assumed) -> Result<i64, Unknown> {
        let holders = self.holders()?;
        let known = if *assumed == *Assumed::NOTHING {
            holders.alive.common(&of.repos)
        } else {
            self.counted(assumed)?.common(&of.repos)
        };
        let strangers = if of.strangers { holders.strangers } else { 0 };
        Ok(i64::try_from(known + strangers).unwrap_or(i64::MAX))
    }

    /// Repositories whose copies count under what is assumed.
    fn counted(&self, assumed: &Assumed) -> Result<RepoSet, Unknown> {
        let mut counted = self.holders()?.alive.clone();
        counted.add(&assumed.has);
        counted.subtract(&assumed.lost);
        counted.subtract(&self.policy.dead);
        Ok(counted)
    }
}

/// Whether the left side is the answer, whatever is on the right.
pub(in crate::wanted) fn decides(left: &Answer, joint: Joint) -> bool {
    matches!((joint, left), (Joint::And, Ok(false)) | (Joint::Or, Ok(true)))
}

/// Both sides together. One that cannot be told leaves the answer to the other, where that decides.
pub(in crate::wanted) fn join(left: Answer, joint: Joint, right: Answer) -> Answer {
    if decides(&left, joint) || !decides(&right, joint) && left.is_err() { left } else { right }
}

fn like(glob: &Glob, text: &[u8]) -> Answer {
    glob.matches(text).map_err(|_| Unknown::new(Fact::Glob, "git-annex stops with an error at it"))
}

/// Whether one of those that are named passes.
fn any(name: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), Unknown>, passes: impl Fn(&[u8]) -> Answer) -> Answer {
    let mut answer = Ok(false);
    name(&mut |found| {
        if answer == Ok(false) {
            answer = passes(found);
        }
    })?;
    answer
}

/// Numbers are compared as such where both are some, and otherwise as text. Source: recorded.
fn matches_value(wanted: &Wanted, found: &[u8]) -> Answer {
    let (how, with, with_number) = match wanted {
        Wanted::Like(glob) => return like(glob, found),
        Wanted::Compared(how, with, number) => (how, with, number),
    };
    let order = match (number::all(found), with_number) {
        (Some(found), Some(with)) => found.partial_cmp(with),
        _ => Some(found.cmp(with)),
    };
    Ok(order.is_some_and(|order| match how {
        Comparison::Less => order.is_lt(),
        Comparison::Greater => order.is_gt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }))
}

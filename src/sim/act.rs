//! Actions: one repository after another goes through its files, and several at once take turns.

use std::collections::VecDeque;

use super::look::{Deed, Kind};
use super::network::shown;
use super::script::{Action, Name, Placement, Problem};
use super::world::{World, undecided};

/// A part of an action.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Goes through all files.
    Files(Deed),
    Pull(usize),
    Push(usize),
}

/// What one of those who take turns has left to do.
struct Turn {
    actor: usize,
    parts: VecDeque<Part>,
    /// Files that the first part still goes through, the next one last.
    files: Vec<u32>,
    is_begun: bool,
}

/// Does actions, which take turns: at each turn, one at random of those that are not done looks at its next file, or pulls or
/// pushes. Files are looked at in the order of their names.
///
/// # Errors
/// There is no such repository or remote, one is a special remote, or it cannot be told who wants a file.
pub fn act(world: &mut World, actions: &[(Name, Action)]) -> Result<(), Problem> {
    let mut turns = plan(world, actions)?;
    world.compile();
    let mut files: Vec<u32> = world.files.current().collect();
    files.sort_unstable_by(|a, b| world.files.name(*b).cmp(world.files.name(*a)));
    while !turns.is_empty() {
        let at = if turns.len() == 1 { 0 } else { world.random.place(turns.len()) };
        if !take_turn(world, &mut turns[at], &files)? {
            turns.remove(at);
        }
    }
    Ok(())
}

/// Checks actions without doing them.
///
/// # Errors
/// As [`act`].
pub fn check(world: &World, actions: &[(Name, Action)]) -> Result<(), Problem> {
    plan(world, actions).map(drop)
}

fn plan(world: &World, actions: &[(Name, Action)]) -> Result<Vec<Turn>, Problem> {
    actions
        .iter()
        .map(|(name, action)| {
            let actor = world.network.find(name)?;
            if world.network.members[actor].is_special {
                let name = shown(name);
                return Err(Problem(format!("{name} is a special remote, so git-annex cannot run on it.")));
            }
            let parts = parts(world, name, actor, action)?;
            Ok(Turn { actor, parts: parts.into(), files: Vec::new(), is_begun: false })
        })
        .collect()
}

fn parts(world: &World, name: &Name, actor: usize, action: &Action) -> Result<Vec<Part>, Problem> {
    let link = |remote: &Name| world.network.link(actor, remote);
    let files = |kind: Kind, link: usize| Part::Files(Deed { kind, link });
    // Under the name of a node, only content can be had: recorded.
    let git = |remote: &Name, names: [&Name; 2]| {
        let link = &world.network.links(actor)[link(remote)?];
        let names = names.map(|name| shown(name));
        match link.is_node {
            true => Err(Problem(format!("Unable to find {} or {} in simRepos", names[0], names[1]))),
            false => Ok(link.to),
        }
    };
    let pull = |remote: &Name| git(remote, [remote, name]).map(Part::Pull);
    let push = |remote: &Name| git(remote, [name, remote]).map(Part::Push);
    let drop = files(Kind::Drop, 0);
    Ok(match action {
        Action::GetWanted(remote) => vec![files(Kind::Get, link(remote)?)],
        Action::DropUnwanted => vec![drop],
        Action::DropUnwantedFrom(remote) => vec![files(Kind::DropFrom, link(remote)?)],
        Action::SendWanted(remote) => vec![files(Kind::Send, link(remote)?)],
        Action::GitPush(remote) => vec![push(remote)?],
        Action::GitPull(remote) => vec![pull(remote)?],
        Action::Pull(remote) => vec![pull(remote)?, files(Kind::Get, link(remote)?), drop],
        Action::Push(remote) => {
            let at = link(remote)?;
            vec![files(Kind::Send, at), files(Kind::DropFrom, at), push(remote)?]
        }
        Action::Sync(remote) => {
            let at = link(remote)?;
            let mut parts = vec![pull(remote)?, files(Kind::Get, at), files(Kind::Send, at), files(Kind::DropFrom, at)];
            // `git annex sim` drops from the remote alone, as its steps do: recorded.
            if world.network.placement == Placement::Stream {
                parts.push(drop);
            }
            parts.push(push(remote)?);
            parts
        }
    })
}

/// One file, or one pull or push. Whether anything is left to do.
fn take_turn(world: &mut World, turn: &mut Turn, files: &[u32]) -> Result<bool, Problem> {
    let actor = turn.actor;
    match turn.parts.front() {
        None => return Ok(false),
        Some(Part::Pull(of)) => {
            world.learn(actor, *of, &mut |_| ());
        }
        Some(Part::Push(to)) => {
            world.learn(*to, actor, &mut |_| ());
        }
        Some(Part::Files(deed)) => {
            if !std::mem::replace(&mut turn.is_begun, true) {
                turn.files = files.to_vec();
            }
            let mut found = Vec::new();
            if let Some(file) = turn.files.pop() {
                let looked = world.look().deeds(actor, file, &|asked| asked == *deed, &mut found);
                looked.map_err(|unknown| undecided(&unknown))?;
                if let Some(deed) = found.first() {
                    world.perform(actor, file, *deed, &mut |_| ());
                }
                if !turn.files.is_empty() {
                    return Ok(true);
                }
            }
        }
    }
    turn.is_begun = false;
    turn.parts.pop_front();
    Ok(!turn.parts.is_empty())
}

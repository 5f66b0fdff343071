//! From words to an expression: git-annex's grammar, which accepts nearly anything.
//!
//! ```text
//! sequence = { [ "and" | "or" ] operand }          folded from the left, beginning with a match
//! operand  = TERM | "not" operand | "(" sequence ")" | ( "and" | "or" ) operand | nothing at all
//! ```
//!
//! What the lines do not say was recorded: two operands side by side are joined by `and`; an operand that is missing
//! matches; a parenthesis may stay open; outside of all, one that closes nothing is passed over, also in front of an
//! operand. Inside a parenthesis, another one without `and`, `or` or `not` before it only encloses: `(a (b or c))` is
//! `a and b or c`.

use std::ops::Range;

use super::ast::{Expression, Joint, Node, Placed};
use super::lex::{Word, words};
use super::terms::{self, Vocabulary};
use super::warn::{self, Fault, Oddity, ParseError, Warning};

impl Expression {
    /// Longest expression taken, in bytes. git-annex has no limit.
    pub const LONGEST: usize = warn::LONGEST;

    /// How deep parentheses, negations and doubled operators may be nested. git-annex has no limit.
    pub const DEEPEST: usize = warn::DEEPEST;

    /// Reads an expression as git-annex does.
    ///
    /// # Errors
    /// [`ParseError`] where git-annex has one: the first of those it tells of; and beyond [`LONGEST`](Self::LONGEST) and
    /// [`DEEPEST`](Self::DEEPEST). Source: recorded.
    pub fn parse(text: &[u8]) -> Result<Self, ParseError> {
        Self::parse_with(text, Vocabulary::PreferredContent)
    }

    /// The same with the terms of another kind of expression.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse).
    pub fn parse_with(text: &[u8], vocabulary: Vocabulary) -> Result<Self, ParseError> {
        if text.len() > Self::LONGEST {
            return Err(ParseError { at: Self::LONGEST..text.len(), fault: Fault::TooLong });
        }
        let words = words(text);
        let mut parser =
            Parser { text, vocabulary, words: &words, at: 0, open: 0, terms: Vec::new(), warnings: Vec::new() };
        let root = parser.sequence(0)?;
        let Parser { terms, mut warnings, .. } = parser;
        warnings.sort_by_key(|warning| warning.at.start);
        Ok(Self { text: text.into(), root, terms, warnings })
    }
}

struct Parser<'a> {
    text: &'a [u8],
    vocabulary: Vocabulary,
    words: &'a [(Word, Range<usize>)],
    at: usize,
    /// Parentheses we are in that group.
    open: usize,
    terms: Vec<Placed>,
    warnings: Vec<Warning>,
}

impl Parser<'_> {
    /// Everything up to the parenthesis that closes it, or the end.
    fn sequence(&mut self, depth: usize) -> Result<Node, ParseError> {
        let (mut list, mut enclosing, mut last) = (Vec::new(), Vec::new(), None);
        while let Some((word, at)) = self.words.get(self.at) {
            match word {
                Word::Close if self.open == 0 => self.surplus(at),
                Word::Close if enclosing.pop().is_none() => break,
                Word::Close => {
                    self.at += 1;
                    last = None;
                }
                Word::Open if self.open > 0 => {
                    // At the start of a parenthesis it makes no difference.
                    if !list.is_empty() {
                        self.warn(at.clone(), Oddity::NotGrouped);
                    }
                    enclosing.push(at.clone());
                    self.at += 1;
                }
                Word::And | Word::Or => {
                    let joint = if *word == Word::And { Joint::And } else { Joint::Or };
                    if list.is_empty() {
                        self.warn(at.clone(), Oddity::LeadingOperator);
                    }
                    if last.replace(joint).is_some_and(|last| last != joint) {
                        self.warn(at.clone(), Oddity::MixedOperators);
                    }
                    self.at += 1;
                    list.push((joint, self.operand(at, depth)?));
                }
                Word::Not | Word::Open | Word::Term => {
                    if !list.is_empty() && last.replace(Joint::And) == Some(Joint::Or) {
                        self.warn(at.clone(), Oddity::MixedOperators);
                    }
                    list.push((Joint::And, self.operand(at, depth)?));
                }
            }
        }
        for at in enclosing {
            self.warn(at, Oddity::Unclosed);
        }
        Ok(Node::Sequence(list))
    }

    /// What the word at `before` is about.
    fn operand(&mut self, before: &Range<usize>, depth: usize) -> Result<Node, ParseError> {
        if depth >= Expression::DEEPEST {
            return Err(ParseError { at: before.clone(), fault: Fault::TooDeep });
        }
        while let Some((Word::Close, at)) = self.words.get(self.at)
            && self.open == 0
        {
            self.surplus(at);
        }
        let missing = Node::Sequence(Vec::new());
        let Some((word, at)) = self.words.get(self.at) else {
            self.warn(before.clone(), Oddity::MissingOperand);
            return Ok(missing);
        };
        self.at += 1;
        match word {
            Word::Term => {
                let term = terms::parse(&self.text[at.clone()], self.vocabulary, at, &mut self.warnings)?;
                self.terms.push(Placed { term, at: at.clone() });
                Ok(Node::Term(self.terms.len() - 1))
            }
            Word::Not => Ok(Node::Not(Box::new(self.operand(at, depth + 1)?))),
            Word::And | Word::Or => {
                self.warn(at.clone(), Oddity::DoubledOperator);
                let joint = if *word == Word::And { Joint::And } else { Joint::Or };
                Ok(Node::Sequence(vec![(joint, self.operand(at, depth + 1)?)]))
            }
            Word::Open => {
                self.open += 1;
                let inner = self.sequence(depth + 1)?;
                self.open -= 1;
                match self.words.get(self.at) {
                    Some(_) => self.at += 1,
                    None => self.warn(at.clone(), Oddity::Unclosed),
                }
                Ok(inner)
            }
            Word::Close => {
                // It belongs to the parenthesis that we are in.
                self.at -= 1;
                self.warn(before.clone(), Oddity::MissingOperand);
                Ok(missing)
            }
        }
    }

    fn surplus(&mut self, at: &Range<usize>) {
        self.warn(at.clone(), Oddity::SurplusClose);
        self.at += 1;
    }

    fn warn(&mut self, at: Range<usize>, what: Oddity) {
        self.warnings.push(Warning { at, what });
    }
}

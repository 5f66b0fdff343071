//! What is done to servers and stores, in an order drawn from a seed. An operation names nothing that must be there when it
//! is done, so that any of them can be left out.

/// Two repositories: the second is a clone of the first, and a gateway to the same stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    First,
    Second,
}

/// A process that serves one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// The first repository, in a container.
    One,
    /// The same repository, in another container.
    Two,
    /// The second repository.
    Other,
}

pub const GATES: [Gate; 3] = [Gate::One, Gate::Two, Gate::Other];

impl Gate {
    pub fn server(self) -> Server {
        if self == Gate::Other { Server::Second } else { Server::First }
    }
}

/// Where content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A repository itself.
    Own(Server),
    /// A special remote that holds objects by key.
    Keyed,
    /// A special remote that holds a tree.
    Tree,
}

pub const NODES: [Node; 4] = [Node::Own(Server::First), Node::Own(Server::Second), Node::Keyed, Node::Tree];

/// How a client gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Http(Gate),
    /// A process for the request.
    Stdio(Server),
}

impl Via {
    pub fn server(self) -> Server {
        match self {
            Via::Http(gate) => gate.server(),
            Via::Stdio(server) => server,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Put,
    Get,
    Check,
    Remove,
    /// With a limit in time that is far, or has passed.
    RemoveBefore {
        is_past: bool,
    },
}

/// A request of a client.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub what: What,
    pub node: Node,
    pub key: usize,
    pub via: Via,
}

/// Where whoever does it is killed.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// At which request to the store, or at which change on the disk.
    pub nth: usize,
    pub at: CutAt,
}

#[derive(Clone, Copy, Debug)]
pub enum CutAt {
    /// After so many bytes of it.
    Sending(usize),
    /// The store hears nothing of it.
    Sent,
    /// The store has done it, and nobody hears that.
    Done,
}

/// What is pushed, as a change of what was pushed before. Numbers count names of the tree, round and round.
#[derive(Clone, Debug)]
pub enum Change {
    /// Other files at other names.
    Fresh(u64),
    /// Files change places, each for the next.
    Rotate(Vec<usize>),
    /// A file takes the content of another.
    Twin(usize, usize),
    /// A file gets a name that the tree does not have, or one that only differs in case.
    Move(usize, usize),
    CaseTwin(usize),
    Drop(usize),
    /// A file becomes content of this key.
    Becomes(usize, usize),
    /// A file becomes a directory with itself in it, or a directory the first file in it.
    Deeper(usize),
    Flatter(usize),
    /// The tree before this one.
    Back,
    /// Nothing changes.
    Same,
}

/// What somebody does to a store, past everybody. Numbers count files of the store, round and round.
#[derive(Clone, Copy, Debug)]
pub enum Hand {
    /// Other bytes of equal length.
    Replace(usize),
    /// The bytes of another file.
    Overwrite(usize, usize),
    Delete(usize),
    /// A file of the usual length at one of the usual names, where none is.
    Add(usize),
}

#[derive(Clone, Debug)]
pub enum Operation {
    Ask(Ask, Option<Cut>),
    /// All at once, and maybe an export.
    Together(Vec<Ask>, Option<Server>, Option<Cut>),
    /// Large uploads of two keys, each twice, through both containers, in pieces that take turns. Some end early.
    Crossed {
        keys: [usize; 2],
        node: Node,
        turns: u64,
    },
    /// A push, and the hook.
    Push {
        to: Server,
        change: Change,
        cut: Option<Cut>,
    },
    /// The hook without a push.
    Hook(Server, Option<Cut>),
    Stranger(Node, Hand),
    /// The stores go away at one of the next requests and stay away for some operations.
    Away {
        nth: usize,
        operations: usize,
    },
    Kill(Gate),
    /// The servers exchange their git-annex branches and what was pushed.
    Learn,
}

/// Numbers drawn from a seed.
pub struct Draw(u64);

impl Draw {
    /// Those of operation `nth` of a run: they do not depend on the operations before.
    pub fn new(seed: u64, nth: usize) -> Draw {
        let mut draw =
            Draw(seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ (nth as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        draw.next();
        draw
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("it is below a usize")
    }

    pub fn seed(&mut self) -> u64 {
        self.next()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// The operations of a run with so many keys, the last `large` of which are.
pub fn operations(seed: u64, count: usize, keys: usize, large: usize) -> Vec<Operation> {
    let nth = |nth| {
        let mut draw = Draw::new(seed, nth);
        // In the beginning there is something to lose.
        match nth {
            0..BEGINNING => {
                let via = Via::Http(if draw.one_in(2) { Gate::One } else { Gate::Two });
                let key = draw.below(keys - large);
                Operation::Ask(Ask { what: What::Put, node: Node::Tree, key, via }, None)
            }
            BEGINNING => Operation::Push { to: Server::First, change: Change::Fresh(draw.seed()), cut: None },
            _ => operation(&mut draw, keys, large),
        }
    };
    (0..count).map(nth).collect()
}

/// Operations of the beginning.
const BEGINNING: usize = 12;

fn operation(draw: &mut Draw, keys: usize, large: usize) -> Operation {
    let cut = |draw: &mut Draw, one_in: usize| draw.one_in(one_in).then(|| self::cut(draw));
    match draw.below(100) {
        0..46 => {
            let ask = ask(draw, keys, large);
            let cut = if matches!(ask.what, What::Get | What::Check) { None } else { cut(draw, 7) };
            Operation::Ask(ask, cut)
        }
        46..55 => {
            // Most of them about one key, which is where they meet.
            let same = draw.below(keys - large);
            let mut asks: Vec<Ask> = (0..2 + draw.below(3)).map(|_| ask(draw, keys, large)).collect();
            asks.iter_mut().filter(|_| !draw.one_in(3)).for_each(|ask| ask.key = same);
            let hook = draw.one_in(2).then(|| server(draw));
            Operation::Together(asks, hook, cut(draw, 4))
        }
        55..58 => {
            let at = keys - large;
            let first = draw.below(large);
            let second = (first + 1 + draw.below(large - 1)) % large;
            let node = if draw.one_in(3) { Node::Keyed } else { Node::Own(Server::First) };
            Operation::Crossed { keys: [at + first, at + second], node, turns: draw.seed() }
        }
        58..78 => Operation::Push { to: server(draw), change: change(draw, keys), cut: cut(draw, 4) },
        78..82 => Operation::Hook(server(draw), cut(draw, 4)),
        82..90 => {
            let node = if draw.one_in(5) { Node::Keyed } else { Node::Tree };
            let (one, other) = (draw.below(1000), draw.below(1000));
            let hands = [Hand::Replace(one), Hand::Overwrite(one, other), Hand::Delete(one), Hand::Add(one)];
            Operation::Stranger(node, draw.of(&hands))
        }
        90..92 => {
            let nth = if draw.one_in(2) { 0 } else { draw.below(12) };
            Operation::Away { nth, operations: 1 + draw.below(3) }
        }
        92..96 => Operation::Kill(draw.of(&GATES)),
        _ => Operation::Learn,
    }
}

/// The second server is asked less often, since what it does to the tree is not known to the first until it hears of it.
fn server(draw: &mut Draw) -> Server {
    if draw.one_in(5) { Server::Second } else { Server::First }
}

fn ask(draw: &mut Draw, keys: usize, large: usize) -> Ask {
    let what = match draw.below(20) {
        0..10 => What::Put,
        10..13 => What::Get,
        13..15 => What::Check,
        15..18 => What::Remove,
        n => What::RemoveBefore { is_past: n == 19 },
    };
    let node = match draw.below(10) {
        0..5 => Node::Tree,
        5..8 => Node::Keyed,
        _ => Node::Own(server(draw)),
    };
    let server = match node {
        Node::Own(server) => server,
        _ => server(draw),
    };
    let via = match server {
        _ if draw.one_in(4) => Via::Stdio(server),
        Server::First => Via::Http(if draw.one_in(2) { Gate::One } else { Gate::Two }),
        Server::Second => Via::Http(Gate::Other),
    };
    let key = if draw.one_in(15) { keys - large + draw.below(large) } else { draw.below(keys - large) };
    Ask { what, node, key, via }
}

fn cut(draw: &mut Draw) -> Cut {
    let most = draw.of(&[3, 10, 40]);
    let nth = 1 + draw.below(most);
    let at = match draw.below(3) {
        0 => CutAt::Sending(draw.of(&[0, 1, 500, 300_000])),
        1 => CutAt::Sent,
        _ => CutAt::Done,
    };
    Cut { nth, at }
}

fn change(draw: &mut Draw, keys: usize) -> Change {
    let (one, other) = (draw.below(1000), draw.below(1000));
    match draw.below(20) {
        0..4 => Change::Fresh(draw.seed()),
        4..8 => Change::Rotate((0..2 + draw.below(3)).map(|_| draw.below(1000)).collect()),
        8..10 => Change::Twin(one, other),
        10..12 => Change::Move(one, other),
        12 => Change::CaseTwin(one),
        13 | 14 => Change::Drop(one),
        15 => Change::Becomes(one, draw.below(keys)),
        16 => Change::Deeper(one),
        17 => Change::Flatter(one),
        18 => Change::Back,
        _ => Change::Same,
    }
}

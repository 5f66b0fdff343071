//! Does the operations, and tells the model what was heard.

use super::check;
use super::model::{Class, Model};
use super::operations::{Ask, Cut, Draw, Gate, Hand, Node, Operation, Server, Via, What};
use super::trees::{NAMES, changed};
use super::world::World;
use testbed::annex::{LIMIT, content};
use testbed::gateway::Gateway;
use testbed::http::{Client, post_head};
use testbed::trees::LEN;
use testbed::way::Outcome;
use testbed::wire::{CLIENT, length};

/// Pieces of a large upload.
const PIECE: usize = 512 << 10;

/// Does `operation`; what it came to, in words.
pub fn perform(world: &mut World, model: &mut Model, operation: &Operation) -> String {
    match operation {
        Operation::Ask(ask, cut) => one(world, model, ask, *cut),
        Operation::Together(asks, hook, cut) => together(world, model, asks, *hook, *cut),
        Operation::Crossed { keys, node, turns } => crossed(world, model, *keys, *node, *turns),
        Operation::Push { to, change, cut } => {
            let names: Vec<String> = model.keys.iter().map(|(name, _)| name.clone()).collect();
            let tree = changed(&world.tree, &world.before, change, &names);
            world.push(*to, tree);
            hook(world, model, *to, true, *cut)
        }
        Operation::Hook(server, cut) => hook(world, model, *server, false, *cut),
        Operation::Stranger(node, hand) => stranger(world, model, *node, *hand),
        Operation::Away { nth, operations } => {
            world.leave(*nth, *operations);
            String::new()
        }
        Operation::Kill(gate) => {
            world.kill(*gate);
            String::new()
        }
        Operation::Learn => {
            learn(world, model);
            String::new()
        }
    }
}

pub fn learn(world: &World, model: &mut Model) {
    world.learn();
    model.stale = [false; 2];
}

fn one(world: &mut World, model: &mut Model, ask: &Ask, cut: Option<Cut>) -> String {
    world.started(&[*ask]);
    let outcome = world.ask(ask, &model.keys[ask.key], cut);
    if cut.is_some() {
        bury(world, ask.via);
    }
    if ask.node == Node::Tree && !matches!(ask.what, What::Get | What::Check) {
        model.changed_by(ask.via.server());
    }
    model.heard(ask, &outcome);
    let is_removed = matches!(ask.what, What::Remove | What::RemoveBefore { .. }) && outcome == Outcome::Yes;
    if is_removed && cut.is_none() && !world.is_away() {
        let again = Ask { what: What::Check, ..*ask };
        let is_there = world.ask(&again, &model.keys[ask.key], None) == Outcome::Yes;
        let untouched = model.copy(ask.node, ask.key).hands.is_empty();
        if is_there && untouched && !model.is_stale(ask.node, ask.via.server()) {
            model.find_of(Class::Kept, ask.node, ask.key, &format!("it is there right after {ask:?}"));
        }
    }
    format!("{outcome:?}")
}

/// Whoever was killed is dead, and all it did is done.
fn bury(world: &mut World, via: Via) {
    if let Via::Http(gate) = via {
        world.kill(gate);
    }
    world.heal();
}

fn together(world: &mut World, model: &mut Model, asks: &[Ask], hook: Option<Server>, cut: Option<Cut>) -> String {
    world.started(asks);
    let victim = asks.iter().find_map(|ask| if let Via::Http(gate) = ask.via { Some(gate) } else { None });
    let all_at_once = || {
        let (world, keys) = (&*world, &model.keys);
        std::thread::scope(|scope| {
            let hook = hook.map(|server| scope.spawn(move || world.hook(server, false, None)));
            let asked: Vec<_> =
                asks.iter().map(|ask| scope.spawn(|| (*ask, world.ask(ask, &keys[ask.key], None)))).collect();
            let heard: Vec<_> = asked.into_iter().map(|asked| asked.join().expect("no panic")).collect();
            (heard, hook.map(|hook| hook.join().expect("no panic")))
        })
    };
    let (heard, hooked) = match (cut, victim) {
        (Some(cut), Some(gate)) => {
            let pid = world.gate(gate).pid();
            let done = world.cut(cut, pid, false, all_at_once);
            bury(world, Via::Http(gate));
            done
        }
        _ => all_at_once(),
    };
    let changing = asks.iter().filter(|ask| ask.node == Node::Tree).map(|ask| ask.via.server());
    let servers: Vec<Server> = changing.chain(hook).collect();
    servers.iter().for_each(|server| model.changed_by(*server));
    if servers.contains(&Server::First) && servers.contains(&Server::Second) {
        model.stale = [true; 2];
    }
    model.heard_together(&heard);
    let heard: Vec<_> = heard.into_iter().map(|(_, outcome)| outcome).collect();
    format!("{heard:?} {hooked:?}")
}

fn hook(world: &mut World, model: &mut Model, server: Server, told: bool, cut: Option<Cut>) -> String {
    let (done, said) = world.hook(server, told, cut);
    if cut.is_some() {
        world.heal();
    }
    model.changed_by(server);
    format!("{done} {said}")
}

/// An upload that is sent by the piece.
struct Slow<'a> {
    ask: Ask,
    client: Option<Client>,
    body: &'a [u8],
    sent: usize,
    /// It ends there.
    until: usize,
}

impl<'a> Slow<'a> {
    fn begin(ask: Ask, gateway: &Gateway, uuid: &str, (key, body): &'a (String, Vec<u8>), until: usize) -> Slow<'a> {
        let mut client = Client::try_connect(&gateway.address).ok();
        let path = format!("/git-annex/{uuid}/v4/put?clientuuid={CLIENT}&key={key}");
        if let Some(client) = &mut client {
            let _ = client.try_send(post_head(&path, &[&length(body.len())], body.len() as u64));
        }
        Slow { ask, client, body, sent: 0, until }
    }

    fn goes_on(&mut self) {
        let next = (self.sent + PIECE).min(self.body.len());
        if let Some(client) = &mut self.client {
            let _ = client.try_send(&self.body[self.sent..next]);
        }
        self.sent = next;
        if self.sent >= self.until && self.sent < self.body.len() {
            self.client = None;
        }
    }

    fn ends(mut self) -> (Ask, Outcome) {
        let failed = || Outcome::Failed("it did not answer".into());
        let answer = self.client.as_mut().and_then(|client| client.try_answer(false).ok().flatten());
        let outcome = answer.map_or_else(failed, |answer| match (answer.status, answer.text()) {
            (200, text) if text.contains("\"stored\":true") => Outcome::Yes,
            (200, text) if text.contains("\"stored\":false") => Outcome::No,
            (status, text) => Outcome::Failed(format!("{status} {text}")),
        });
        (self.ask, outcome)
    }
}

fn crossed(world: &mut World, model: &mut Model, keys: [usize; 2], node: Node, turns: u64) -> String {
    let gates = [Gate::One, Gate::Two];
    for gate in gates {
        world.start(gate);
    }
    let mut draw = Draw::new(turns, 0);
    let of_model = model.keys.clone();
    let mut uploads: Vec<Slow<'_>> = Vec::new();
    for (gate, key) in [(0, 0), (1, 1), (1, 0), (0, 1)] {
        let (gate, key) = (gates[gate], keys[key]);
        let ask = Ask { what: What::Put, node, key, via: Via::Http(gate) };
        let body = &of_model[key];
        let until = if draw.one_in(3) { draw.below(body.1.len()) } else { usize::MAX };
        let mut upload = Slow::begin(ask, world.gate(gate), world.uuid(node), body, until);
        // Somebody is at it before the next one comes.
        upload.goes_on();
        uploads.push(upload);
    }
    loop {
        let mut going: Vec<&mut Slow<'_>> =
            uploads.iter_mut().filter(|upload| upload.client.is_some() && upload.sent < upload.body.len()).collect();
        if going.is_empty() {
            break;
        }
        let next = draw.below(going.len());
        going[next].goes_on();
    }
    let heard: Vec<(Ask, Outcome)> = uploads.into_iter().map(Slow::ends).collect();
    model.heard_together(&heard);
    let heard: Vec<_> = heard.into_iter().map(|(_, outcome)| outcome).collect();
    format!("{heard:?}")
}

/// Files that are of the servers' own, and not content.
pub fn is_mark(name: &[u8]) -> bool {
    name == b"annex-uuid" || name.starts_with(b".git/annex/stream/")
}

fn stranger(world: &World, model: &mut Model, node: Node, hand: Hand) -> String {
    if world.is_away() {
        return "nothing is there".to_string();
    }
    let files = world.files(node);
    let names: Vec<&Vec<u8>> = files.keys().filter(|name| !is_mark(name)).collect();
    let nth = |n: usize| names.get(n % names.len().max(1)).map(|name| name.to_vec());
    let fresh = |len: usize| content(9_000_000 + model.at as u64, len);
    let (name, now) = match hand {
        Hand::Replace(n) => match nth(n) {
            Some(name) => (name.clone(), Some(fresh(files[&name].len()))),
            None => return String::new(),
        },
        Hand::Overwrite(n, from) => match (nth(n), nth(from)) {
            (Some(name), Some(from)) if name != from => (name, Some(files[&from].clone())),
            _ => return String::new(),
        },
        Hand::Delete(n) => match nth(n) {
            Some(name) => (name, None),
            None => return String::new(),
        },
        Hand::Add(n) => {
            let name = NAMES[n % NAMES.len()].to_string();
            let folded = |name: &str| name.to_lowercase();
            let meets = |have: &str| {
                let (have, name) = (folded(have), folded(&name));
                have == name || have.starts_with(&format!("{name}/")) || name.starts_with(&format!("{have}/"))
            };
            if files.keys().any(|have| meets(&String::from_utf8_lossy(have))) {
                return String::new();
            }
            (name.into_bytes(), Some(fresh(LEN)))
        }
    };
    let text = String::from_utf8_lossy(&name).into_owned();
    match &now {
        Some(now) if !world.place(node).try_write(&text, now) => return format!("{text}: something is in the way"),
        Some(_) => {}
        None => world.place(node).delete(&text),
    }
    let was = files.get(&name).map(|was| model.whose(was));
    model.touched(node, &files, &name, now.as_deref());
    format!("{text}: {was:?} becomes {:?}", now.map(|now| model.whose(&now)))
}

/// Does all of `operations`, each with its number, until something is wrong.
pub fn run(world: &mut World, model: &mut Model, operations: &[(usize, Operation)], every: [usize; 2]) {
    let tells = std::env::var_os("STREAM_TEST_TELL").is_some();
    for (done, (number, operation)) in operations.iter().enumerate() {
        model.at = *number;
        let begun = std::time::Instant::now();
        let doing = Doing(*number, operation);
        let words = perform(world, model, operation);
        let took = begun.elapsed();
        assert!(took < 2 * LIMIT, "{operation:?} takes {took:?}, which is too long, and no loss");
        if tells {
            eprintln!("{number} {operation:?}\n    {words} ({took:?})");
        }
        world.passes();
        let begun = std::time::Instant::now();
        if (done + 1).is_multiple_of(every[1]) || done + 1 == operations.len() {
            check::whole(world, model);
        } else if (done + 1).is_multiple_of(every[0]) {
            check::glance(world, model);
        }
        if tells && begun.elapsed() > std::time::Duration::from_millis(1) {
            eprintln!("    looked at in {:?}", begun.elapsed());
        }
        drop(doing);
        if !model.findings.is_empty() {
            return;
        }
    }
}

/// Tells what was done where that panics: something other than a loss, such as a wait that takes too long.
struct Doing<'a>(usize, &'a Operation);

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- at operation {}: {:?}", self.0, self.1);
        }
    }
}

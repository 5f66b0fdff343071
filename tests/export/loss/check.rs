//! What must be so, whatever was done.

use std::collections::BTreeMap;

use super::drive::{is_mark, learn};
use super::model::{Class, Model};
use super::operations::{Ask, GATES, Gate, NODES, Node, Server, Via, What};
use super::world::World;
use testbed::way::Outcome;

/// How many ask side by side.
const ASKERS: usize = 4;

/// What clients are told now, with whatever was cut still open.
pub fn glance(world: &mut World, model: &mut Model) {
    if world.is_away() {
        return;
    }
    let mut asks = Vec::new();
    for (&(node, key), copy) in &model.copies {
        let Some(via) = way(node, model, key) else { continue };
        // All of the tree, and some of what nobody moves.
        if node != Node::Tree && !(key + model.at).is_multiple_of(3) {
            continue;
        }
        let what = if copy.told.is_there() && (key + model.at).is_multiple_of(4) { What::Get } else { What::Check };
        asks.push(Ask { what, node, key, via });
    }
    for (ask, outcome) in ask_all(world, model, &asks) {
        model.read(&ask, &outcome, false);
    }
    put_aside(world, model);
    tell(world, model);
}

/// Nothing tells a file of a key without a digest from a stranger's of that length, where no gateway that is there put it: such two
/// are both moved aside, and told of. The content is there, and nobody is given it.
fn put_aside(world: &World, model: &mut Model) {
    if model.findings.iter().all(|finding| finding.class != Class::Denied) {
        return;
    }
    let files = world.files(Node::Tree);
    let aside: Vec<&Vec<u8>> =
        files.iter().filter(|(name, _)| name.starts_with(b".git/annex/bad/")).map(|(_, content)| content).collect();
    let written = &model.written;
    let keys = &model.keys;
    model.findings.retain(|finding| {
        let key = keys.iter().find(|(name, _)| name.starts_with("WORM-") && finding.words.contains(&**name));
        let is_beside_a_strangers = key.is_some_and(|(_, body)| {
            aside.contains(&body) && aside.iter().any(|file| file.len() == body.len() && written.contains(*file))
        });
        finding.class != Class::Denied || !is_beside_a_strangers
    });
}

/// By which server a node can be judged.
fn way(node: Node, model: &Model, key: usize) -> Option<Via> {
    let of_first = if key.is_multiple_of(2) { Gate::One } else { Gate::Two };
    match node {
        Node::Own(Server::Second) => Some(Via::Http(Gate::Other)),
        Node::Tree if model.stale == [true; 2] => None,
        Node::Tree if model.stale[0] => Some(Via::Http(Gate::Other)),
        _ => Some(Via::Http(of_first)),
    }
}

fn ask_all(world: &mut World, model: &Model, asks: &[Ask]) -> Vec<(Ask, Outcome)> {
    world.started(asks);
    let (world, keys) = (&*world, &model.keys);
    std::thread::scope(|scope| {
        let askers: Vec<_> = asks
            .chunks(asks.len().div_ceil(ASKERS).max(1))
            .map(|some| {
                let ask = |ask: &Ask| (*ask, world.ask(ask, &keys[ask.key], None));
                scope.spawn(move || some.iter().map(ask).collect::<Vec<_>>())
            })
            .collect();
        askers.into_iter().flat_map(|asker| asker.join().expect("no panic")).collect()
    })
}

/// Everybody was killed, is started again and hears of the others, and what was begun is finished: all content is there.
pub fn whole(world: &mut World, model: &mut Model) {
    world.come_back();
    GATES.iter().for_each(|gate| world.kill(*gate));
    heals(world, model);
    let mut asks = Vec::new();
    for node in NODES {
        for key in 0..model.keys.len() {
            let Some(via) = way(node, model, key) else { continue };
            asks.push(Ask { what: What::Check, node, key, via });
        }
    }
    let is_there = |model: &Model, ask: &Ask| model.copies[&(ask.node, ask.key)].told.is_there();
    // To give content is to say that it is there, but for the tree: that has two ways to look.
    let checks: Vec<Ask> = asks.iter().filter(|ask| ask.node == Node::Tree || !is_there(model, ask)).copied().collect();
    for (ask, outcome) in ask_all(world, model, &checks) {
        let outcome = patiently(world, model, &ask, outcome);
        model.read(&ask, &outcome, false);
        unread(model, &ask, &outcome);
    }
    let mut asks: Vec<Ask> =
        asks.iter().filter(|ask| is_there(model, ask)).map(|ask| Ask { what: What::Get, ..*ask }).collect();
    // The other server gives the same.
    for ask in &mut asks {
        if matches!(ask.node, Node::Keyed | Node::Tree) && (ask.key + model.at).is_multiple_of(3) {
            ask.via = Via::Http(Gate::Other);
        }
    }
    let files: BTreeMap<Node, _> = [Node::Keyed, Node::Tree].map(|node| (node, world.files(node))).into();
    for (ask, outcome) in ask_all(world, model, &asks) {
        let outcome = patiently(world, model, &ask, outcome);
        model.read(&ask, &outcome, false);
        unread(model, &ask, &outcome);
        let right = model.keys[ask.key].1.clone();
        if let (Some(files), true) = (files.get(&ask.node), outcome == Outcome::Content(right)) {
            let copy = model.copy(ask.node, ask.key);
            copy.hands.retain(|name, put| put.is_some() && files.get(name) == put.as_ref());
        }
    }
    for (node, files) in &files {
        nothing_is_lost(model, *node, files);
        strangers_keep_theirs(model, *node, files);
    }
    is_recorded(world, model);
    put_aside(world, model);
    tell(world, model);
}

/// What is on the stores and in the records, for whoever has to understand a finding.
fn tell(world: &World, model: &mut Model) {
    if model.findings.is_empty() {
        return;
    }
    // What was looked at may have been moved since.
    let files: BTreeMap<Node, _> = [Node::Keyed, Node::Tree].map(|node| (node, world.files(node))).into();
    super::say(&format!("what the servers said: {}", world.said()));
    super::say(&format!("what is noted: {}", world.noted()));
    let recorded = [world.first.recorded(), world.second.0.recorded()];
    let stored = files[&Node::Tree].get(&b".git/annex/stream/stored/keys"[..]).cloned().unwrap_or_default();
    super::say(&format!("keys that gateways were told of: {}", String::from_utf8_lossy(&stored)));
    for finding in &mut model.findings {
        if let Some((key, _)) = model.keys.iter().find(|(key, _)| finding.words.contains(&**key)) {
            let lines = recorded.each_ref().map(|log| log.iter().filter(|((of, _), _)| of == key).collect::<Vec<_>>());
            finding.words += &format!("\nrecorded: {lines:?}");
        }
        let shown = files.iter().flat_map(|(node, files)| {
            files.iter().map(move |(name, content)| (node, name.escape_ascii().to_string(), content))
        });
        if finding.words.contains("--") && !finding.words.contains("on the stores") {
            let shown: Vec<String> = shown
                .map(|(node, name, content)| format!("{node:?} {name}: {}", whose(&model.keys, content)))
                .collect();
            finding.words += &format!("\non the stores:\n  {}", shown.join("\n  "));
        }
    }
}

/// Whoever is told to try again later does so, with nobody else at it; what fails then fails for good.
fn patiently(world: &World, model: &Model, ask: &Ask, first: Outcome) -> Outcome {
    let mut outcome = first;
    for _ in 0..3 {
        if !matches!(outcome, Outcome::Failed(_)) {
            break;
        }
        outcome = world.ask(ask, &model.keys[ask.key], None);
    }
    outcome
}

fn whose<'a>(keys: &'a [(String, Vec<u8>)], content: &[u8]) -> &'a str {
    keys.iter().find(|(_, body)| body == content).map_or("?", |(name, _)| name)
}

/// Exports that were cut are finished by whoever can.
fn heals(world: &mut World, model: &mut Model) {
    let mut said = Vec::new();
    for server in [Server::First, Server::Second, Server::First] {
        learn(world, model);
        let (done, words) = world.hook(server, false, None);
        if server == Server::First && done {
            learn(world, model);
            return;
        }
        said.push(words);
    }
    // A directory where a file shall be is a person's matter.
    match model.strangers.is_empty() {
        true => model.find(Class::Unhealed, format!("exports fail: {said:#?}")),
        false => super::say(&format!("exports fail, perhaps for what strangers put there: {said:#?}")),
    }
    learn(world, model);
}

fn unread(model: &mut Model, ask: &Ask, outcome: &Outcome) {
    let copy = model.copy(ask.node, ask.key);
    if let (Outcome::Failed(why), true, true) = (outcome, copy.told.is_there(), copy.hands.is_empty()) {
        model.find_of(Class::Unread, ask.node, ask.key, &format!("{ask:?}: {why}"));
    }
}

/// Where a stranger was at one of its copies, no more is asked than that the others are there.
fn nothing_is_lost(model: &mut Model, node: Node, files: &BTreeMap<Vec<u8>, Vec<u8>>) {
    model.strangers.retain(|(at, name), content| *at != node || files.get(name) == Some(content));
    let touched: Vec<usize> = (0..model.keys.len())
        .filter(|key| {
            let copy = &model.copies[&(node, *key)];
            copy.told.is_there() && !copy.hands.is_empty()
        })
        .collect();
    for key in touched {
        let body = &model.keys[key].1;
        let is_his = |name: &Vec<u8>| model.strangers.get(&(node, name.clone())) == Some(body);
        if !files.iter().any(|(name, content)| content == body && !is_his(name)) {
            let hands: Vec<String> =
                model.copies[&(node, key)].hands.keys().map(|name| name.escape_ascii().to_string()).collect();
            model.find_of(Class::Lost, node, key, &format!("a stranger was at {hands:?} only, and no copy is left"));
        }
    }
}

/// What strangers put where nothing was is there, wherever it was moved to.
fn strangers_keep_theirs(model: &mut Model, node: Node, files: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut gone = Vec::new();
    for ((_, name), written) in model.added.iter().filter(|((at, _), _)| *at == node) {
        if !files.iter().any(|(name, content)| !is_mark(name) && content == written) {
            gone.push((node, name.clone()));
        }
    }
    for (node, name) in gone {
        model.find(Class::Stranger, format!("what a stranger put at {node:?} {} is nowhere", name.escape_ascii()));
        model.added.remove(&(node, name));
    }
}

/// What was said to be stored is in the location logs.
fn is_recorded(world: &World, model: &mut Model) {
    let recorded = world.first.recorded();
    let stored = model.copies.iter().filter(|(_, copy)| copy.told == super::model::Told::Stored);
    let missing: Vec<(Node, usize)> = stored
        .map(|(at, _)| *at)
        .filter(|(node, key)| {
            let line = (model.keys[*key].0.clone(), world.uuid(*node).to_string());
            recorded.get(&line) != Some(&true)
        })
        .collect();
    for (node, key) in missing {
        model.find_of(Class::Unrecorded, node, key, "it is not in the location log");
    }
}

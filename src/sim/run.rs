//! Running commands.

use super::act;
use super::files::Fields;
use super::network::shown;
use super::outside::{Outside, Used};
use super::random::Generator;
use super::script::{Command, Line, Name, Placement, Problem, Random, Stream, What};
use super::step::{Stepped, step};
use super::world::World;
use crate::wanted::Expression;

/// Begins a sim: its seed is that of the first line, where that sets one, and otherwise the one that was `drawn`.
pub fn begin(first: Option<&Line>, drawn: i64) -> World {
    if let Some(Line::Command(Command::Seed(seed))) = first {
        return World::new(*seed);
    }
    let mut world = World::new(drawn);
    world.history.text(&Line::Command(Command::Seed(drawn)).to_bytes());
    world
}

/// Runs a line, and logs it. `visit` is for whoever has a disk: it is logged, and no more.
///
/// # Errors
/// In git-annex's words. The sim is as it was then, but for a `use`, `addtree` or `step` that failed in the middle.
pub fn run(world: &mut World, line: &Line, outside: &mut dyn Outside) -> Result<(), Problem> {
    let command = match line {
        Line::Comment(_) => {
            world.history.text(&line.to_bytes());
            return Ok(());
        }
        Line::Stream(stream) => {
            ours(world, stream)?;
            world.history.text(&line.to_bytes());
            return Ok(());
        }
        Line::Command(command) => command,
    };
    match command {
        // What these do is logged behind them.
        Command::Step(_) | Command::StepStable(_) => {
            world.history.text(&line.to_bytes());
            return steps(world, command, outside);
        }
        Command::Action(actions) => {
            act::check(world, actions)?;
            world.history.text(&line.to_bytes());
            return act::act(world, actions);
        }
        // These only ask.
        Command::Present(repo, file) => return expect(world, repo, file, true, outside),
        Command::NotPresent(repo, file) => return expect(world, repo, file, false, outside),
        _ => change(world, command, outside)?,
    }
    world.history.text(&line.to_bytes());
    Ok(())
}

fn ours(world: &mut World, stream: &Stream) -> Result<(), Problem> {
    match stream {
        Stream::Uuid(name, uuid) => world.given.uuids.push((name.clone(), uuid.clone())),
        Stream::Key(name, key) => world.given.keys.push((name.clone(), key.clone())),
        Stream::Placement(placement) => {
            world.network.placement = *placement;
            world.reconfigured();
        }
        Stream::Random(super::random::ALGORITHM) => {}
        Stream::Threshold(percent) => {
            world.network.threshold = Some(*percent);
            world.reconfigured();
        }
        Stream::PreferredDir(repo, dir) => {
            let repo = world.network.find(repo)?;
            world.network.members[repo].preferreddir = Some(dir.clone());
            world.reconfigured();
        }
        Stream::Metadata(name, field, value) => {
            let file = world.files.find(name).ok_or_else(|| unknown_file(name))?;
            world.files.add_value(file, field, value);
        }
        Stream::Known => world.tell_all(),
        Stream::Random(other) => {
            return Err(Problem(format!(
                "this was made with random algorithm {other}, which this version does not have"
            )));
        }
    }
    Ok(())
}

/// What changes files or configuration.
fn change(world: &mut World, command: &Command, outside: &mut dyn Outside) -> Result<(), Problem> {
    let find = |world: &World, names: &[Name]| {
        names.iter().map(|name| world.network.find(name)).collect::<Result<Vec<usize>, Problem>>()
    };
    match command {
        Command::Init(name) => drop(world.add_repository(name, None, false)?),
        Command::InitRemote(name) => drop(world.add_repository(name, None, true)?),
        Command::Use(name, called) => {
            world.network.is_free(name)?;
            let used = outside.used(name, called)?;
            take_over(world, name, used)?;
        }
        Command::Connect(chain) => world.network.connect(chain)?,
        Command::Disconnect(chain) => world.network.disconnect(chain)?,
        Command::AddTree(repo, expression) => {
            let repo = world.network.find(repo)?;
            for found in outside.tree(expression)? {
                let known = world.files.find(&found.file).filter(|file| *world.files.key(*file) == found.key);
                let file = match known {
                    Some(file) => file,
                    None => world.add_file(&found.file, Some(found.key), 0, &[])?,
                };
                set_fields(world, file, found.metadata);
                if !world.knowledge.has(repo, file) {
                    world.note(repo, repo, file, true);
                }
            }
        }
        Command::Add { file, size, repos } => {
            let repos = find(world, repos)?;
            world.add_file(file, None, *size, &repos)?;
        }
        Command::AddMulti { count, suffix, least, most, repos } => {
            let repos = find(world, repos)?;
            let (least, most) = (*least.min(most), *most.max(least));
            for number in 1..=*count {
                let size = least + world.random.below((most - least).saturating_add(1));
                let name: Name = [number.to_string().as_bytes(), suffix].concat().into();
                world.add_file(&name, None, size, &repos)?;
            }
        }
        Command::Seed(seed) => (world.seed, world.random) = (*seed, Generator::new(*seed)),
        Command::Metadata(name, change) => {
            let file = world.files.find(name).ok_or_else(|| unknown_file(name))?;
            world.files.change(file, change, world.network.placement == Placement::Stream);
        }
        Command::Visit(repo, _) => drop(world.network.find(repo)?),
        _ => {
            configure(world, command)?;
            world.reconfigured();
        }
    }
    world.reconfigured();
    Ok(())
}

fn unknown_file(name: &[u8]) -> Problem {
    Problem(format!("Cannot set metadata of unknown file {}", shown(name)))
}

fn set_fields(world: &mut World, file: u32, fields: Fields) {
    if !fields.is_empty() {
        world.files.set_metadata(file, fields);
    }
}

fn configure(world: &mut World, command: &Command) -> Result<(), Problem> {
    let network = &mut world.network;
    match command {
        Command::NumCopies(copies) => network.numcopies = Some(*copies),
        Command::MinCopies(copies) => network.mincopies = Some(*copies),
        Command::TrustLevel(repo, trust) => {
            let repo = network.find(repo)?;
            network.members[repo].trust = *trust;
        }
        Command::Expression(what, of, expression) => network.set(*what, of, expression.clone())?,
        Command::RandomExpression(what, Random { of, terms }) => {
            if *what != What::GroupWanted {
                network.find(of)?;
            }
            let expression = drawn(&mut world.random, terms);
            world.network.set(*what, of, expression)?;
        }
        Command::Group(repo, group) => {
            let repo = network.find(repo)?;
            network.members[repo].groups.insert(group.clone());
        }
        Command::Ungroup(repo, group) => {
            let repo = network.find(repo)?;
            network.members[repo].groups.remove(group);
        }
        Command::MaxSize(repo, size) => {
            let repo = network.find(repo)?;
            network.members[repo].maxsize = Some(*size);
        }
        Command::Rebalance(on) => network.rebalance = *on,
        Command::ClusterNode(name, repo) => network.add_node(name, repo)?,
        _ => {}
    }
    Ok(())
}

fn take_over(world: &mut World, name: &Name, used: Used) -> Result<(), Problem> {
    let repo = world.add_repository(name, Some(used.uuid), used.is_special)?;
    let member = &mut world.network.members[repo];
    (member.trust, member.maxsize) = (used.trust, used.maxsize);
    member.groups = used.groups.into_iter().collect();
    (member.wanted, member.required, member.preferreddir) = (used.wanted, used.required, used.preferreddir);
    world.network.groupwanted.extend(used.groupwanted);
    Ok(())
}

/// An expression of some of the terms, each perhaps negated, with `and` or `or` between them. One that git-annex cannot read is
/// not drawn; of no terms, it is empty.
pub(super) fn drawn(random: &mut Generator, terms: &[Name]) -> Name {
    let mut text = Vec::new();
    if terms.is_empty() {
        return text.into();
    }
    for at in 0..=random.place(terms.len()) {
        if at > 0 {
            text.extend_from_slice(if random.below(2) == 0 { b" and " } else { b" or " });
        }
        if random.below(2) == 0 {
            text.extend_from_slice(b"not ");
        }
        text.extend_from_slice(&terms[random.place(terms.len())]);
    }
    match Expression::parse(&text) {
        Ok(_) => text.into(),
        Err(_) => terms[0].clone(),
    }
}

fn expect(
    world: &mut World,
    repo: &Name,
    file: &Name,
    present: bool,
    outside: &mut dyn Outside,
) -> Result<(), Problem> {
    let at = world.network.find(repo)?;
    let (file_shown, repo) = (shown(file), shown(repo));
    let not = if present { "to be" } else { "to not be" };
    let sentence = match world.files.find(file).map(|file| world.knowledge.has(at, file)) {
        None => {
            format!("Expected {file_shown} {not} present in {repo}, but the simulation does not include that file.")
        }
        Some(is_there) if is_there == present => return Ok(()),
        Some(true) => format!("Expected {file_shown} not to be present in {repo}, but it is present."),
        Some(false) => format!("Expected {file_shown} to be present in {repo}, but it is not."),
    };
    outside.say(&sentence);
    world.failed = true;
    Ok(())
}

/// `step N` does N + 1 transfers and drops. Source: recorded.
fn steps(world: &mut World, command: &Command, outside: &mut dyn Outside) -> Result<(), Problem> {
    let (count, must_rest) = match command {
        Command::StepStable(count) => (*count, true),
        Command::Step(count) => (*count, false),
        _ => return Ok(()),
    };
    let most = u64::try_from(count).map_or(0, |count| count.saturating_add(1));
    let stepped = match count {
        0.. => step(world, most)?,
        _ => Stepped { deeds: 0, is_stable: false, circles: false, looks: 0 },
    };
    if stepped.is_stable {
        let done = stepped.deeds.min(most.saturating_sub(1));
        outside.say(&format!("Simulation has stabilized after {done} steps."));
    } else if must_rest {
        outside.say(&format!("Simulation failed to stabilize after {count} steps."));
        if stepped.circles && world.network.placement == Placement::Stream {
            outside.say("It came back to a state that it was in before: it can go on for ever.");
        }
        world.failed = true;
    }
    Ok(())
}

//! A sim file that shows a fault, and was run to see that it does.

use super::class::Class;
use super::concrete::concrete;
use super::graph::{Edge, Fault, Path, State};
use crate::sim::log::log;
use crate::sim::look::Kind;
use crate::sim::network::{Network, shown};
use crate::sim::outside::Nowhere;
use crate::sim::run::{begin, run};
use crate::sim::script::{Action, Arrow, Chain, Command, Line, Name, Placement, Stream, What};
use crate::sim::world::World;
use crate::wanted::{Policy, Trust};

/// The file of which a fault is shown, and the script that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// A sim file: what was run, and what came of it.
    pub script: Vec<u8>,
}

/// Runs what a path says.
///
/// # Errors
/// In a phrase: why it could not be run, or did not come to what the path says.
pub fn witness(network: &Network, policy: &Policy, class: &Class, path: &Path) -> Result<Witness, String> {
    let file = concrete(network, policy, class)?;
    let mut lines = configuration(network);
    lines.push(Line::Stream(Stream::Key(file.name.clone(), file.key.clone())));
    let name = |repo: usize| network.members[repo].name.clone();
    let holders = (0..network.members.len()).filter(|repo| path.start >> repo & 1 != 0).map(name).collect();
    lines.push(Line::Command(Command::Add { file: file.name.clone(), size: class.bytes(), repos: holders }));
    let metadata = file.changes.iter().map(|change| Command::Metadata(file.name.clone(), change.clone()));
    lines.extend(metadata.map(Line::Command));
    let mut world = begin(lines.first(), 1);
    let mut play = |world: &mut World, line: Line| run(world, &line, &mut Nowhere).map_err(|e| e.to_string());
    lines.into_iter().try_for_each(|line| play(&mut world, line))?;
    let at = world.files.find(&file.name).ok_or("the file was not added")?;
    let state = |world: &World| -> State {
        (0..network.members.len()).filter(|repo| world.knowledge.has(*repo, at)).fold(0, |set, repo| set | 1 << repo)
    };
    for arrow in &path.arrows {
        inform(&mut world, &mut play)?;
        play(&mut world, line_of(network, arrow))?;
        if state(&world) != arrow.to {
            return Err(
                "what is known to everybody in thought does not reach everybody over the connections".to_string()
            );
        }
    }
    // At rest is what nobody changes who knows all.
    if matches!(path.fault, Fault::Copies | Fault::Required(_)) {
        inform(&mut world, &mut play)?;
        play(&mut world, Line::Command(Command::StepStable(0)))?;
        if world.failed {
            return Err("it was not at rest".to_string());
        }
    }
    let head = format!("# {}\n", sentence(network, &path.fault, &file.name));
    Ok(Witness { script: [head.as_bytes(), &log(&world)].concat() })
}

/// What is wrong, in a sentence.
pub fn sentence(network: &Network, fault: &Fault, file: &[u8]) -> String {
    let (name, file) = (|repo: usize| shown(&network.members[repo].name), shown(file));
    match fault {
        Fault::Loss => format!("the last copy of {file} is dropped"),
        Fault::Circle => format!("{file} never comes to rest: at the end it is where it was in the beginning"),
        Fault::Copies => {
            format!("{file} ends with fewer copies than numcopies or mincopies demand, although there can be as many")
        }
        Fault::Required(repo) => format!("{} is required to have {file}, and does not get it", name(*repo)),
        Fault::Again(repo) => format!("{} gets {file} again after it was dropped there", name(*repo)),
    }
}

/// The lines that set a network up.
pub fn configuration(network: &Network) -> Vec<Line> {
    let mut lines = vec![Line::Command(Command::Seed(1)), Line::Stream(Stream::Placement(Placement::Stream))];
    let mut add = |command: Command| lines.push(Line::Command(command));
    for (copies, set) in [(network.numcopies, true), (network.mincopies, false)] {
        if let Some(copies) = copies {
            add(if set { Command::NumCopies(copies) } else { Command::MinCopies(copies) });
        }
    }
    let empty = Name::from(&b""[..]);
    for member in &network.members {
        let name = member.name.clone();
        lines.push(Line::Stream(Stream::Uuid(name.clone(), member.uuid.clone())));
        let mut add = |command: Command| lines.push(Line::Command(command));
        add(if member.is_special { Command::InitRemote(name.clone()) } else { Command::Init(name.clone()) });
        if member.trust != Trust::default() {
            add(Command::TrustLevel(name.clone(), member.trust));
        }
        member.groups.iter().for_each(|group| add(Command::Group(name.clone(), group.clone())));
        for (what, set) in [(What::Wanted, &member.wanted), (What::Required, &member.required)] {
            if *set != empty {
                add(Command::Expression(what, name.clone(), set.clone()));
            }
        }
        if let Some(bytes) = member.maxsize {
            add(Command::MaxSize(name.clone(), bytes));
        }
    }
    let mut add = |command: Command| lines.push(Line::Command(command));
    for (group, set) in &network.groupwanted {
        add(Command::Expression(What::GroupWanted, group.clone(), set.clone()));
    }
    if network.rebalance {
        add(Command::Rebalance(true));
    }
    for (node, repo) in &network.nodes {
        add(Command::ClusterNode(node.clone(), network.members[*repo].name.clone()));
    }
    for (repo, member) in network.members.iter().enumerate() {
        for link in network.links(repo) {
            let links = vec![(Arrow::Right, link.name.clone())];
            add(Command::Connect(Chain { first: member.name.clone(), links }));
        }
    }
    lines
}

type Play<'a> = dyn FnMut(&mut World, Line) -> Result<(), String> + 'a;

/// Everybody pulls from and pushes to everybody they are connected to, as long as somebody learns something.
fn inform(world: &mut World, play: &mut Play<'_>) -> Result<(), String> {
    loop {
        let knowledge = &world.knowledge;
        let mut next = None;
        for (repo, member) in world.network.members.iter().enumerate() {
            for link in world.network.links(repo).iter().filter(|link| !link.is_node && link.to != repo) {
                let action = match (knowledge.knows_less(repo, link.to), knowledge.knows_less(link.to, repo)) {
                    (true, _) => Action::GitPull(link.name.clone()),
                    (false, true) => Action::GitPush(link.name.clone()),
                    (false, false) => continue,
                };
                next = next.or(Some((member.name.clone(), action)));
            }
        }
        match next {
            Some(action) => play(world, Line::Command(Command::Action(vec![action])))?,
            None => return Ok(()),
        }
    }
}

fn line_of(network: &Network, arrow: &Edge) -> Line {
    let remote = || network.links(arrow.actor)[arrow.deed.link].name.clone();
    let action = match arrow.deed.kind {
        Kind::Get => Action::GetWanted(remote()),
        Kind::Send => Action::SendWanted(remote()),
        Kind::Drop => Action::DropUnwanted,
        Kind::DropFrom => Action::DropUnwantedFrom(remote()),
    };
    Line::Command(Command::Action(vec![(network.members[arrow.actor].name.clone(), action)]))
}

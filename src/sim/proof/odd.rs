//! What is odd in the expressions of a network, for whoever wrote them.

use crate::name::Uuid;
use crate::sim::network::{Network, shown};
use crate::wanted::{Matter, Origin, Policy};

/// What is odd in the expressions of a network, a line for each: what git-annex takes in another way than it was perhaps meant,
/// and groups that nobody is in.
pub fn odd(network: &Network) -> Vec<String> {
    let policy = Policy::new(network.configuration());
    let of = |of: &Origin| match of {
        Origin::Wanted(uuid) => format!("wanted of {}", called(network, uuid)),
        Origin::Required(uuid) => format!("required of {}", called(network, uuid)),
        Origin::GroupWanted(group) => format!("groupwanted of {}", shown(group)),
    };
    let problems = policy.problems().iter().map(|problem| {
        let of = of(&problem.of);
        match &problem.what {
            Matter::Odd(warning) => format!("{of}: {warning}"),
            Matter::Unparsed(error) => {
                format!("{of}: at byte {}: {error}; this does not parse, and stands for `present`", error.at.start + 1)
            }
            Matter::Unstable(unstable) => {
                format!("{of}: never used, because {} is negated", unstable.term.escape_ascii())
            }
        }
    });
    let nobody = policy.nobody();
    let nobody = nobody.iter().map(|nobody| {
        let of = of(&nobody.of);
        match nobody.term.is_empty() {
            true => format!("{of}: {}", nobody.what),
            false => format!("{of}: {}: {}", nobody.term.escape_ascii(), nobody.what),
        }
    });
    problems.chain(nobody).collect()
}

/// Why nothing is proved of a network with an expression that does not parse: git-annex 10.20261026 takes `present` for it, and a
/// version that knows its terms does not.
pub fn unparsed(network: &Network) -> Option<String> {
    let policy = Policy::new(network.configuration());
    let repo = policy.unparsed().next()?;
    let name = called(network, policy.uuid(repo));
    Some(format!(
        "an expression of {name} does not parse; git-annex 10.20261026 takes `present` for it, another version may not"
    ))
}

fn called(network: &Network, uuid: &Uuid) -> String {
    let member = network.members.iter().find(|member| member.uuid == *uuid);
    member.map_or_else(|| uuid.to_string(), |member| shown(&member.name))
}

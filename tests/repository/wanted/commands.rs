//! `info` and `explain --json`, beside what git-annex prints.

use std::collections::BTreeMap;

use serde_json::Value;

use super::chance::Chance;
use super::lab::Lab;
use testbed::annex::LIMIT;
use testbed::product;
use testbed::run::run;

fn ours(lab: &Lab, words: &[&str]) -> Value {
    parsed(&run(lab.repo.command(product()).args(words), LIMIT).ok().stdout)
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// Each repository's description, and whether it is here, by uuid.
fn described(list: &Value) -> BTreeMap<String, (String, bool)> {
    let row = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap_or_else(|| panic!("{name} of {row}")).to_string();
        (text("uuid"), (text("description"), row["here"].as_bool().expect("a truth value")))
    };
    list.as_array().expect("a list").iter().map(row).collect()
}

#[test]
fn info_tells_of_the_repositories_that_git_annex_tells_of() {
    for seed in [3, 4, 5] {
        let lab = Lab::new(&mut Chance::new(seed), 12);
        let (theirs, ours) =
            (parsed(&lab.repo.annex(&["info", "--fast", "--json"]).ok().stdout), ours(&lab, &["info", "--json"]));
        for trust in ["trusted", "semitrusted", "untrusted"] {
            let name = format!("{trust} repositories");
            assert_eq!(described(&ours[&name]), described(&theirs[&name]), "seed {seed}: {name}\n{}", lab.told);
        }
        // A dead repository is left out there.
        let sizes = parsed(&lab.repo.annex(&["maxsize", "--json"]).ok().stdout);
        let sizes = sizes["repositories"].as_array().expect("a list");
        let all: Vec<&Value> = ["trusted", "semitrusted", "untrusted", "dead"]
            .iter()
            .flat_map(|trust| ours[format!("{trust} repositories")].as_array().expect("a list"))
            .collect();
        let mut compared = 0;
        for theirs in sizes {
            let Some(ours) = all.iter().find(|row| row["uuid"] == theirs["uuid"]) else { continue };
            assert_eq!(ours["size"], theirs["size"]["size"], "seed {seed}: {theirs} {ours}");
            assert_eq!(ours["maxsize"], theirs["size"]["maxsize"], "seed {seed}: {theirs} {ours}");
            compared += 1;
        }
        assert!(compared >= 2, "seed {seed}: {compared} sizes were compared: {sizes:?}");
    }
}

#[test]
fn explain_answers_as_find_lists() {
    let lab = Lab::new(&mut Chance::new(6), 4);
    let (file, key) = lab.files.iter().next().expect("there is one");
    for rebalance in [false, true] {
        let more = if rebalance { &["--rebalance"][..] } else { &[] };
        let shown = ours(&lab, &[&["explain", "--json", file], more].concat());
        assert_eq!(shown["key"].as_str(), Some(&**key));
        let by_key = ours(&lab, &[&["explain", "--json", key, "--file", file], more].concat());
        assert_eq!(by_key, shown, "a key and its file is not the file");
        let rows = shown["repositories"].as_array().expect("a list");
        assert_eq!(rows.len(), lab.uuids.len());
        for row in rows {
            let uuid = row["uuid"].as_str().expect("a uuid");
            for want in ["get", "drop"] {
                let option = format!("--want-{want}-by={uuid}");
                let found = lab.repo.annex(&[&["find", &option, file], more].concat()).ok().stdout;
                assert_eq!(row[format!("want-{want}")], !found.is_empty(), "{option}: {row}\n{}", lab.told);
            }
        }
    }
}

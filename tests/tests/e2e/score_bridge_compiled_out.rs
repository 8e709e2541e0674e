//! What is compiled out is not there: neither in the agent that ships, nor in what it is built of,
//! nor in the core that both formats share.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tests::{process::built, snapshot::files};

/// What only an agent with the bridge has, as symbols and paths of the compiler spell it.
const ONLY_IN_THE_BRIDGE: [&str; 2] = ["agent_score_bridge", "minijinja"];

/// How the core may speak of Scores: the status has a field for them, which the model defines. It
/// fills it in its own tests only, and leaves it empty.
const FIELD_OF_THE_STATUS: [&str; 2] = ["scores: Vec::new(),", "\"scores\": [],"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The crates that the agent is built of with these features.
fn crates_of_the_agent(features: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", "harmony-agent", "-e", "normal", "--locked", "--offline", "--prefix", "none"])
        .args(features)
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    // Symbols spell a hyphen as an underscore, and so do we.
    String::from_utf8_lossy(&output.stdout).replace('-', "_")
}

/// Whether a program contains that text.
fn contains(program: &str, text: &str) -> bool {
    String::from_utf8_lossy(&fs::read(built(program)).unwrap()).contains(text)
}

fn speaks_of_scores(line: &str) -> bool {
    let rest = FIELD_OF_THE_STATUS.iter().fold(line.to_owned(), |line, field| line.replace(field, ""));
    rest.to_lowercase().contains("score")
}

#[test]
fn the_agent_that_ships_is_built_of_nothing_that_belongs_to_scores() {
    let (without, with) = (crates_of_the_agent(&[]), crates_of_the_agent(&["--features", "score-bridge"]));
    for name in ONLY_IN_THE_BRIDGE {
        assert!(with.contains(name), "this test looks for {name}, which the bridge does not have any more");
        assert!(!without.contains(name), "harmony-agent depends on {name} without the feature score-bridge");
    }
}

#[test]
fn the_program_that_ships_contains_nothing_that_belongs_to_scores() {
    for name in ONLY_IN_THE_BRIDGE {
        let with = contains("harmony-agent-with-scores", name);
        assert!(with, "this test looks for {name}, which the bridge does not leave in a program any more");
        assert!(
            !contains("harmony-agent", name),
            "harmony-agent contains {name}: was it built together with something that asks for its feature \
             score-bridge?"
        );
    }
}

#[test]
fn the_core_does_not_speak_of_scores() {
    for line in ["//! Scores.", "use agent_score_bridge::File;", "if info.scores.is_empty() {", "SCORE"] {
        assert!(speaks_of_scores(line), "{line:?} went unnoticed");
    }
    let mut sources = files(&workspace().join("agent-core/src"));
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(sources.iter().any(|path| path.ends_with("dispatcher.rs")), "this is not the core: {sources:?}");
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        let said: Vec<(&str, usize)> =
            text.lines().zip(1..).filter(|(line, _)| speaks_of_scores(line)).collect();
        let path = path.display();
        assert!(said.is_empty(), "{path}: the core shares all with every format and knows none: {said:#?}");
    }
}

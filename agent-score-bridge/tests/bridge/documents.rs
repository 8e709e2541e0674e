//! Documents as devices hold them, which must mean the same for ever.

use std::{
    fs,
    path::{Path, PathBuf},
};

use agent_model::{ResourceKind, UnknownKeys};
use agent_score_bridge::{ScoreBridge, ScoreRegistry};
use serde_json::Value;

use super::{lower_with, newest_schema};

/// What each comes to on a device whose host name is `edge-0001`. Never update a digest here: what a Score of one version
/// declares never changes, since an upgrade of the agent alone would touch a fleet that nobody asked it to touch.
const GOLDEN: &[(&str, &str)] =
    &[("0.1.0/scores.json", "sha256:ab376c43101b9b6ec38751c2efe8dd56a8fb72141365fabd4f1aae7d411a04e0")];

#[test]
fn old_documents_mean_what_they_always_meant() {
    let bridge = ScoreBridge::new(ScoreRegistry::built_in(), ResourceKind::ALL);
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    assert_eq!(files_of_each_version(&fixtures), GOLDEN.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, digest) in GOLDEN {
        let path = fixtures.join(name);
        let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        jsonschema::validate(&newest_schema(), &document).unwrap();
        let state = lower_with(&bridge, UnknownKeys::AreProblems, &document["spec"]).unwrap().state;
        assert_eq!(state.digest().to_string(), *digest, "{name}");
    }
}

fn files_of_each_version(fixtures: &Path) -> Vec<String> {
    let entries =
        |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let files = entries(fixtures).iter().flat_map(|version| entries(version)).collect::<Vec<_>>();
    let mut names: Vec<String> =
        files.iter().map(|file| file.strip_prefix(fixtures).unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

//! The formats that this program knows: the lines to touch when there is one more.

use agent_core::dispatcher::Formats;
use agent_manifest_v1::AgentManifestV1;
use agent_model::{COMMON_FACTS, DeviceFacts, ResourceKind};
use agent_score_bridge::{KIND, Requirement, ScoreBridge, ScoreId, ScoreRegistry, UnknownScore, choose};
use semver::Version;
use serde_json::Value;

/// Every format that documents are written in.
pub(crate) fn known() -> Formats {
    let scores = ScoreBridge::new(ScoreRegistry::built_in(), ResourceKind::ALL);
    Formats::none().with(AgentManifestV1).with(scores)
}

/// The JSON Schemas of each kind, oldest version first.
pub(crate) const SCHEMAS: [(&str, &[(Version, &str)]); 2] =
    [(agent_manifest_v1::KIND, agent_manifest_v1::JSON_SCHEMAS), (KIND, agent_score_bridge::JSON_SCHEMAS)];

/// Architectures that templates may look up in lists of those that there are.
const ARCHITECTURES: [&str; 4] = ["x86_64", "aarch64", "arm", "riscv64"];

/// What to read a document with that is for no device in particular: stand-ins for the facts that
/// every device has, once for each architecture.
pub(crate) fn stand_in_facts() -> [DeviceFacts; 4] {
    ARCHITECTURES.map(|arch| {
        let value = |fact| if fact == "arch" { arch } else { fact };
        COMMON_FACTS.map(|fact| (fact.to_owned(), value(fact).to_owned())).into()
    })
}

/// The Scores that a document asks for and that are not known here; a device may know them. Names
/// that no Score can have are not among them.
pub(crate) fn unknown_scores(kind: &str, spec: &Value) -> Vec<Requirement> {
    let registry = ScoreRegistry::built_in();
    let mut wanted = required_scores(kind, spec);
    wanted.retain(|required| {
        choose(registry.ids(), &required.score, &required.range).is_err() && ScoreId::is_name(&required.score)
    });
    wanted
}

/// The Scores that are known here.
pub(crate) fn known_scores() -> Vec<String> {
    ScoreRegistry::built_in().ids().map(ToString::to_string).collect()
}

/// Whether what documents of a kind come to depends on the facts of the device.
pub(crate) fn reads_facts(kind: &str) -> bool {
    kind == KIND
}

/// The Scores that a document asks for.
pub(crate) fn required_scores(kind: &str, spec: &Value) -> Vec<Requirement> {
    if kind == KIND { agent_score_bridge::requirements(spec) } else { Vec::new() }
}

/// Why a device that lists these Scores cannot read that one, in words about "this device".
pub(crate) fn missing_score(required: &Requirement, advertised: &[String]) -> Option<UnknownScore> {
    let have: Vec<ScoreId> = advertised.iter().filter_map(|score| score.parse().ok()).collect();
    choose(have.iter(), &required.score, &required.range).err()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn there_is_a_stand_in_for_each_fact_that_every_device_has() {
        for facts in stand_in_facts() {
            assert_eq!(facts.into_keys().collect::<Vec<_>>(), COMMON_FACTS);
        }
    }

    #[test]
    fn only_scores_that_are_not_known_here_are_left_to_the_device() {
        let entry = |score: &str, version: &str| json!({"score": score, "version": version, "name": "a"});
        let spec =
            json!({"scores": [entry("File", "0.1.0"), entry("Motd", "0.1.0"), entry("File", "7.0.0")]});
        let unnameable = json!({"scores": [entry("file", "0.1.0"), entry("Motd@1.0.0", "0.1.0")]});
        assert_eq!(unknown_scores(KIND, &unnameable), []);
        let unknown = |kind| unknown_scores(kind, &spec).into_iter().map(|score| score.pointer);
        assert_eq!(unknown(KIND).collect::<Vec<_>>(), ["/spec/scores/1", "/spec/scores/2"]);
        assert_eq!(unknown("AgentManifest").count(), 0);
    }

    #[test]
    fn a_score_that_the_device_lacks_is_named_with_what_it_has() {
        let spec = json!({"scores": [{"score": "Motd", "version": "0.1.0", "name": "a"}]});
        let required = &required_scores(KIND, &spec)[0];
        let missing = |advertised: &[&str]| {
            let advertised: Vec<String> = advertised.iter().map(|score| (*score).to_owned()).collect();
            missing_score(required, &advertised).map(|missing| missing.to_string())
        };
        assert_eq!(missing(&["File@0.1.0", "Motd@0.1.4"]), None);
        let other = missing(&["File@0.1.0", "nonsense"]).unwrap();
        assert!(other.contains("\"Motd\"") && other.contains("has File@0.1.0"), "{other}");
        assert!(missing(&["Motd@0.2.0"]).unwrap().contains("Motd@0.2.0"));
    }
}

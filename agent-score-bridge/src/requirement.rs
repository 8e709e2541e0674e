//! What a document asks of a device, for whoever wants to know before the device refuses it.

use agent_model::pointer_to;
use semver::VersionReq;
use serde_json::Value;

/// A Score that a document asks for; [`choose`](crate::choose) says whether a device has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// JSON pointer to the entry that asks, from the document's root.
    pub pointer: String,
    /// The name of the Score's type.
    pub score: String,
    /// Which versions of it may read the entry.
    pub range: VersionReq,
}

/// The Scores that a document with this spec asks for, in its order.
///
/// Entries that name none, or no readable range of versions, are passed over: what is wrong with a
/// document is said by lowering it.
pub fn requirements(spec: &Value) -> Vec<Requirement> {
    let entries = spec.get("scores").and_then(Value::as_array).into_iter().flatten().enumerate();
    entries.filter_map(|(i, entry)| requirement(i, entry)).collect()
}

fn requirement(i: usize, entry: &Value) -> Option<Requirement> {
    let text = |key| entry.get(key).and_then(Value::as_str);
    Some(Requirement {
        pointer: pointer_to("/spec/scores", i),
        score: text("score")?.to_owned(),
        range: text("version")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_readable_entry_is_a_requirement_and_the_others_are_passed_over() {
        let spec = json!({"scores": [
            {"score": "File", "version": "0.1.0"},
            {"score": "File", "version": "latest"},
            {"score": 7, "version": "0.1.0"},
            {"version": "0.1.0"},
            {"score": "File"},
            "File@0.1.0",
            {"score": "Tea", "version": ">=0.1, <0.3", "colour": "green"},
        ]});
        let requirement = |i: usize, score: &str, range: &str| Requirement {
            pointer: format!("/spec/scores/{i}"),
            score: score.to_owned(),
            range: range.parse().unwrap(),
        };
        assert_eq!(
            requirements(&spec),
            [requirement(0, "File", "0.1.0"), requirement(6, "Tea", ">=0.1, <0.3")]
        );
    }

    #[test]
    fn what_is_no_spec_of_scores_asks_for_nothing() {
        for spec in [json!(null), json!([]), json!({}), json!({"scores": {"score": "File"}}), json!("scores")]
        {
            assert_eq!(requirements(&spec), [], "{spec}");
        }
    }
}

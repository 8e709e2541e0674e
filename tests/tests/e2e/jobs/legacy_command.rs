//! From the document of the proof of concept to a job that runs.

use agent_model::status::{ConditionType, ResourceState::Ready};
use serde_json::json;
use tests::{
    document::job,
    harmonyctl::Harmonyctl,
    site::{Access, DEVICE, Site},
};

use super::allowing;
use crate::status_words::{refused, stands};

#[tokio::test]
async fn a_bare_command_is_refused_by_naming_the_conversion_and_runs_once_converted() {
    let site = Site::start(Access::Open).await;
    let command = "echo converted";
    let mut device = allowing(site.device(), &[&job("any", command)]);
    device.start();
    let revision = site.platform.put(DEVICE, &json!({"command": command})).await;
    let status =
        site.platform.status_where(DEVICE, "refused", refused(revision, "UnsupportedEnvelope")).await;
    let message = &status.condition(ConditionType::Accepted).unwrap().message;
    assert!(message.contains("harmonyctl convert --from LegacyCommand"), "{message}");

    let harmonyctl = Harmonyctl::new(site.server.url());
    let of_entry = harmonyctl.run(&["convert", "--from", "LegacyCommand", "agent", DEVICE]).await;
    assert_eq!(of_entry.code, Some(0), "{of_entry:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let legacy = file(&format!("{DEVICE}.json"), &json!({"command": command}).to_string());
    let of_file = harmonyctl.run(&["convert", "--from", "LegacyCommand", "-f", &legacy]).await;
    assert_eq!((of_file.code, &of_file.stdout), (Some(0), &of_entry.stdout), "{of_file:?}");

    let converted = file("converted.yaml", &of_file.stdout);
    let applied = harmonyctl.run(&["apply", "-f", &converted]).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    site.platform.status_where(DEVICE, "ran", stands("legacy-command", Ready, "Succeeded")).await;
}

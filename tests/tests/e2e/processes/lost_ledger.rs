//! Processes whose ledger was lost are found again.

use std::fs;

use agent_model::status::{AgentStatus, ConditionStatus, ConditionType};
use serde_json::json;
use tests::{
    agent::Agent,
    document::{file, manifest, process},
    eventually::eventually,
    site::{Access, DEVICE, Site},
};

use crate::status_words::{converged_at, is, listed};

/// What happened to the ledger and its copy.
const DAMAGES: [fn(&Agent); 3] = [
    |device| for_each_ledger(device, |path| fs::remove_file(path).unwrap()),
    |device| for_each_ledger(device, |path| fs::write(path, "{").unwrap()),
    // The copy knows less than the ledger did.
    |device| fs::write(device.state_dir().join("ledger.json"), "{").unwrap(),
];

fn for_each_ledger(device: &Agent, damage: impl Fn(&std::path::Path)) {
    for name in ["ledger.json", "ledger.previous.json"] {
        damage(&device.state_dir().join(name));
    }
}

#[tokio::test]
async fn without_the_ledger_what_is_declared_is_adopted_and_what_is_not_is_stopped_but_not_before_that_is_known()
 {
    for damage in DAMAGES {
        let mut site = Site::start(Access::Restricted).await;
        let mut device = site.device();
        device.start();
        let sleeper = |name| process(name, &["sleep", "infinity"]);
        let mut depends = sleeper("kept-too");
        depends["restartOn"] = json!(["config"]);
        let kept = [file("config", "/etc/config", "1"), sleeper("kept"), depends];
        let mut before = kept.to_vec();
        before.push(sleeper("dropped"));
        site.platform.put(DEVICE, &manifest(DEVICE, 1, &before)).await;
        site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
        let records = ["kept", "kept-too"].map(|name| device.shim_record(name));
        let dropped = device.process("dropped");
        device.stop().await;
        damage(&device);

        site.server.stop().await;
        let passes = device.log().matches("pass reason=").count();
        device.start();
        eventually("it has looked around without a server", async || {
            let more = device.log().matches("pass reason=").count() > passes;
            more.then_some(()).ok_or_else(|| device.log())
        })
        .await;
        assert!(dropped.is_alive(), "it was stopped before anybody knew what is declared\n{}", device.log());

        site.server.start_again().await;
        site.platform.put(DEVICE, &manifest(DEVICE, 2, &kept)).await;
        let goes_on = |status: &AgentStatus| {
            converged_at(2)(status)
                && is(status, ConditionType::StateStore, ConditionStatus::False, "LedgerRecovered")
        };
        let status = site.platform.status_where(DEVICE, "converged at 2", goes_on).await;
        assert_eq!(["kept", "kept-too"].map(|name| device.shim_record(name)), records, "{}", device.log());
        for name in ["kept", "kept-too"] {
            let kept = listed(&status, name).unwrap();
            assert_eq!((kept.restarts, kept.drift_corrections), (0, 0), "{name}");
        }
        assert!(!dropped.is_alive());
        assert!(!device.process_folder("dropped").path().exists());
    }
}

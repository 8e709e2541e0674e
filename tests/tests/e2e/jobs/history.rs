//! What is not known to have run is not run.

use std::fs;

use agent_model::status::ResourceState::Failed;
use serde_json::json;
use tests::{
    document::{job, manifest},
    site::{Access, DEVICE, Site},
};

use super::{allowing, lines, open_folder};
use crate::status_words::{converged_at, stands};

#[tokio::test]
async fn a_job_does_not_run_where_its_history_is_lost_until_it_has_a_new_run_id() {
    for lose in ["jobs.jsonl", "the middle of jobs.jsonl", "everything"] {
        let site = Site::start(Access::Restricted).await;
        let folder = open_folder();
        let runs = folder.path().join("runs");
        let mut once = job("once", &format!("echo run >> {}", runs.display()));
        once["spec"]["writablePaths"] = json!([folder.path()]);
        let mut device = allowing(site.device(), &[&once]);
        device.start();
        site.platform.put(DEVICE, &manifest(DEVICE, 1, &[once.clone()])).await;
        site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
        device.stop().await;
        let history = device.state_dir().join("jobs.jsonl");
        match lose {
            "jobs.jsonl" => fs::remove_file(&history).unwrap(),
            "everything" => fs::remove_dir_all(device.state_dir()).unwrap(),
            _ => {
                let mut content = fs::read(&history).unwrap();
                content[40] ^= 1;
                fs::write(&history, content).unwrap();
            }
        }
        device.start();
        let what = format!("unknown without {lose}");
        site.platform.status_where(DEVICE, &what, stands("once", Failed, "HistoryUnknown")).await;
        assert_eq!(lines(&runs), 1, "it ran again without {lose}");
        once["spec"]["runId"] = json!("2");
        site.platform.put(DEVICE, &manifest(DEVICE, 2, &[once])).await;
        site.platform.status_where(DEVICE, "a new runId", converged_at(2)).await;
        assert_eq!(lines(&runs), 2, "{lose}");
        device.stop().await;
    }
}

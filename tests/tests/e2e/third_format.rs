//! A format that somebody adds takes part in everything that there is: the crate `planted-format` is
//! one, and the agent that has it is made of one line.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    document::{authored, file, manifest},
    process::{Process, built},
    site::{Access, DEVICE, Site},
};

use crate::status_words::converged_at;

#[tokio::test]
async fn a_format_added_by_one_line_shares_watch_status_and_repair_with_those_that_were_there() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device().with_program("planted-agent");
    device.start();
    let banner = json!({
        "apiVersion": "harmony/v1", "kind": "Banner", "schemaVersion": "1.0.0",
        "metadata": {"name": DEVICE, "generation": 1},
        "spec": "welcome\n",
    });
    site.platform.put(DEVICE, &banner).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(device.read("/etc/banner"), "welcome\n");
    let formats = [("AgentManifest", vec!["1.0.0", "1.1.0"]), ("Banner", vec!["1.0.0"])];
    let formats =
        formats.map(|(kind, versions)| (kind.to_owned(), versions.into_iter().map(str::to_owned).collect()));
    assert_eq!(status.agent_info.formats, BTreeMap::from(formats));
    assert_eq!(status.accepted.unwrap().kind, "Banner");

    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[file("motd", "/etc/motd", "hello\n")])).await;
    let status = site.platform.status_where(DEVICE, "converged again", converged_at(2)).await;
    assert_eq!(status.accepted.unwrap().kind, "AgentManifest");
    assert_eq!(device.read("/etc/motd"), "hello\n");
    assert!(!device.path("/etc/banner").exists(), "what is declared no longer is still there");
    site.assert_nothing_was_forbidden();
}

/// Tries a document without a server; returns the exit code and all that was printed.
async fn tried(document: &Value) -> (Option<i32>, String) {
    let folder = TempDir::with_prefix("harmony-once-").unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("document"), document.to_string()).unwrap();
    let program = built("planted-agent").to_str().unwrap().to_owned();
    let (file, state, root) = (path("document"), path("state"), path("root"));
    let arguments = ["once", "-f", &file, "--state-dir", &state, "--root", &root].map(str::to_owned);
    let command = [vec![program], arguments.to_vec()].concat();
    let status = Process::start("once", &command, &[], path("log").as_ref()).unwrap().end().await;
    (status.code(), fs::read_to_string(path("log")).unwrap())
}

#[tokio::test]
async fn a_document_without_a_version_is_tried_as_the_newest_that_its_kind_has_on_this_agent() {
    let of_kind = |kind: &str, spec: Value| json!({"apiVersion": "harmony/v1", "kind": kind, "metadata": {"name": DEVICE}, "spec": spec});
    for document in
        [of_kind("Banner", json!("welcome\n")), authored(DEVICE, &[file("motd", "/etc/motd", "")])]
    {
        let (code, printed) = tried(&document).await;
        assert_eq!(code, Some(0), "{document}\n{printed}");
    }
    // A kind that it lacks has no version to fill in, and is refused for what it is.
    let (code, printed) = tried(&of_kind("Score", json!({"scores": []}))).await;
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("UnsupportedKind"), "{printed}");
}

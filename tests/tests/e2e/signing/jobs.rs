//! Jobs where only those of signed documents may run.

use agent_model::status::ResourceState;
use tests::{
    document::{job, manifest},
    signer::Signer,
    site::{Access, DEVICE, Site},
};

use crate::status_words::{converged_at, refused, stands};

#[tokio::test]
async fn a_job_runs_when_a_trusted_key_signed_its_document_and_else_is_denied() {
    let site = Site::start(Access::Restricted).await;
    let key = Signer::new().await;
    let mut device = site
        .device()
        .trusting(&[("platform.pem", &key.pem())])
        .allowing_unsigned()
        .with_rule("shellJobs", "'Signed'")
        .with_rule("paths", "['/']");
    device.start();
    let document = manifest(DEVICE, 1, &[job("hello", "echo hello")]);
    let revision = site.platform.put(DEVICE, &document).await;
    let status = site.platform.status_where(DEVICE, "denied", refused(revision, "PolicyDenied")).await;
    assert!(
        status.conditions[0].message.contains("shellJobs = \"Signed\""),
        "{}",
        status.conditions[0].message
    );

    site.platform.put(DEVICE, &key.seal(&document).await).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert!(stands("hello", ResourceState::Ready, "Succeeded")(&status), "{status:#?}");
    let audit = device.audit();
    let begun = audit.iter().find(|line| line["outcome"] == "Begun").expect("the job was begun");
    assert_eq!(begun["signer"], key.key_id());

    // The plain form of what was signed takes nothing back, and is no way to run another job.
    site.platform.put(DEVICE, &document).await;
    let revision = site.platform.put(DEVICE, &manifest(DEVICE, 2, &[job("bye", "echo bye")])).await;
    let status = site.platform.status_where(DEVICE, "denied", refused(revision, "PolicyDenied")).await;
    assert!(stands("hello", ResourceState::Ready, "Succeeded")(&status), "{status:#?}");
    device.stop().await;
    device.start();
    let revision = site.platform.put(DEVICE, &manifest(DEVICE, 3, &[job("bye", "echo bye")])).await;
    site.platform.status_where(DEVICE, "denied again", refused(revision, "PolicyDenied")).await;
}

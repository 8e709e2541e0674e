//! How a device comes to credentials of its own, in operator mode (ADR-036).

mod brake;
mod ended;
mod hostile_answers;
mod hostile_requests;
mod in_advance;
mod labels;
pub(crate) mod newcomer;
mod power_cut;
mod service;
mod whole_path;

use tests::{
    harmonyctl::{Harmonyctl, Ran},
    site::Site,
};

/// Somebody who decides for the platform: with its credentials, and the operator's folder.
pub(super) fn decider(site: &Site) -> Harmonyctl {
    let folder = site.operator().folder();
    let credentials = folder.platform_credentials();
    Harmonyctl::with_environment(&[
        ("HARMONYCTL_NATS_URL", &site.server.url()),
        ("HARMONYCTL_CREDS", credentials.to_str().unwrap()),
        ("HARMONYCTL_OPERATOR", folder.path().to_str().unwrap()),
    ])
}

/// Approves whoever asks for that id, as nobody should who has not compared the key.
pub(super) async fn approve_whoever_asks(decider: &Harmonyctl, id: &str) -> Ran {
    let shown = decider.run(&["agents", "approve", id]).await;
    match shown.stderr.split("--key ").nth(1).and_then(|rest| rest.split(' ').next()) {
        Some(key) => decider.run(&["agents", "approve", id, "--key", key]).await,
        None => shown,
    }
}

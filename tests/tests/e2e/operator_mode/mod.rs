//! Devices in an account of their own, as `harmonyctl init --operator` sets it up, and what a device that turned
//! against the fleet can do there.
//!
//! The attacks are made by plain NATS, with the credentials that a thief of a device would have.

mod cluster;
mod command_line;
mod floods;
mod forged_hints;
mod newcomers;
mod renewal;
mod reply_subjects;
mod revocation;
mod secured;
mod stored;
mod trespassing;

use agent_model::status::Phase;
use tests::{
    document::file,
    platform::DESIRED_STATE,
    site::{DEVICE, Site},
};

use crate::status_words::converged_at;

/// Who is attacked by [`DEVICE`].
const VICTIM: &str = "edge-0002";

scenarios!(operator_mode, Operator, AgentManifest: a_device_gets_by_with_its_token_through_every_end_of_the_server);
scenarios!(
    operator_mode_on_the_oldest_server, Operator, AgentManifest, Oldest:
    a_device_gets_by_with_its_token_through_every_end_of_the_server
);

async fn a_device_gets_by_with_its_token_through_every_end_of_the_server(site: &mut Site) {
    let mut device = site.device();
    device.start();
    site.platform.put(DEVICE, &site.document(1, &[file("a", "/etc/a", "1")])).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(device.read("/etc/a"), "1");

    site.server.kill();
    site.server.start_again().await;
    site.platform.put(DEVICE, &site.document(2, &[file("a", "/etc/a", "2")])).await;
    site.platform.status_where(DEVICE, "converged at 2", converged_at(2)).await;

    site.platform.delete(DEVICE).await;
    let is_unassigned = |status: &agent_model::status::AgentStatus| status.phase == Phase::Unassigned;
    site.platform.status_where(DEVICE, "unassigned", is_unassigned).await;
    assert_eq!(device.read("/etc/a"), "2");
    let (code, printed) = device.check().await;
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains(DESIRED_STATE), "{printed}");
    site.platform.events_where(DEVICE, "what was applied", |events| !events.is_empty()).await;
}

//! Whether a running server is fit for a fleet: a finding for each thing, with what to do about it.
//!
//! What can be tried is tried, with a device of no name that leaves nothing behind; what only those know who look after
//! the servers takes the operator's folder.

mod permissions;
mod servers;

use agent_model::Finding;
use nats_operator::Folder;
use serde::Deserialize;

use crate::{
    Access, ConnectError, Fleet,
    provisioning::{self, Change, Layout, STREAMS},
};

/// Bytes: an entry of the largest bucket with its headers must fit into a message.
const NEEDED_PAYLOAD: usize = (640 + 4) << 10;

/// Tests the server that `platform` is connected to. `folder` is that of its operator, and `access` the way there, of
/// which another login is made.
pub async fn check(platform: &Fleet, access: &Access, folder: Option<&Folder>) -> Vec<Finding> {
    let mut findings = vec![version(&platform.server_version()), tls(platform)];
    findings.extend(jetstream(platform).await);
    findings.push(buckets(platform).await);
    findings.push(payload(platform));
    match folder {
        Some(folder) => {
            findings.extend(servers::check(platform, access, folder).await);
            findings.push(permissions::check(platform, access, folder).await);
        }
        None => findings.extend(unknown()),
    }
    findings
}

/// What can only be known with the operator's folder.
fn unknown() -> Vec<Finding> {
    vec![
        Finding::warning(
            "sync",
            "cannot be known without the operator's folder (--operator DIR): see that the server's configuration says \
             `sync_interval: always`, or writes are lost with its power",
        ),
        Finding::warning(
            "accounts",
            "cannot be known without the operator's folder (--operator DIR): devices in the platform's own account can \
             write into each other's entries; `harmonyctl init --operator DIR` makes accounts that keep them apart",
        ),
        Finding::warning("permissions", "cannot be tried without the operator's folder (--operator DIR)"),
    ]
}

fn version(found: &str) -> Finding {
    if provisioning::is_safe(found) {
        return Finding::ok("version", format!("nats-server {found}"));
    }
    let error = provisioning::ProvisioningError::ServerTooOld { found: found.to_owned() };
    Finding::failed("version", error.to_string())
}

fn tls(platform: &Fleet) -> Finding {
    if platform.client().server_info().tls_required {
        return Finding::ok("tls", "is required of everybody");
    }
    Finding::warning(
        "tls",
        "is not required: whoever is on the way can read and alter everything that is not signed. Give the server \
         `tls {}` with a certificate, unless it listens on this host alone",
    )
}

fn payload(platform: &Fleet) -> Finding {
    let found = platform.client().server_info().max_payload;
    if found >= NEEDED_PAYLOAD {
        return Finding::ok("payload", format!("messages may have {found} bytes"));
    }
    Finding::failed(
        "payload",
        format!(
            "messages may have {found} bytes only, and a large document has {NEEDED_PAYLOAD}: raise the server's \
             max_payload"
        ),
    )
}

/// What `$JS.API.INFO` answers, as far as it matters.
#[derive(Deserialize)]
struct AccountInfo {
    error: Option<ApiError>,
    #[serde(default)]
    storage: u64,
    limits: Option<Limits>,
}

#[derive(Deserialize)]
struct ApiError {
    description: String,
}

#[derive(Deserialize)]
struct Limits {
    max_storage: i64,
    max_streams: i64,
    max_consumers: i64,
}

async fn jetstream(platform: &Fleet) -> Vec<Finding> {
    let remedy = "start the server with JetStream, and enable it for the platform's account";
    let answer = match platform.client().request("$JS.API.INFO", "".into()).await {
        Ok(answer) => answer,
        Err(error) => {
            return vec![Finding::failed("jetstream", format!("does not answer ({error}): {remedy}"))];
        }
    };
    match serde_json::from_slice(&answer.payload) {
        Ok(AccountInfo { error: Some(error), .. }) => {
            vec![Finding::failed("jetstream", format!("{}: {remedy}", error.description))]
        }
        Ok(AccountInfo { limits: Some(limits), storage, .. }) => {
            vec![Finding::ok("jetstream", format!("{storage} bytes are stored")), allowed(&limits)]
        }
        _ => vec![Finding::failed("jetstream", format!("answers in words that are not known: {remedy}"))],
    }
}

/// What the account may use. The streams are made in it, and whoever looks at the fleet takes a few consumers.
fn allowed(limits: &Limits) -> Finding {
    let Limits { max_storage, max_streams, max_consumers } = *limits;
    let unlimited = |limit| limit < 0;
    if usize::try_from(max_streams).is_ok_and(|max| max < STREAMS) || max_storage == 0 {
        return Finding::failed(
            "limits",
            format!(
                "the platform's account may have {max_streams} streams and {max_storage} bytes: {STREAMS} streams are needed"
            ),
        );
    }
    let in_words = |limit: i64| if unlimited(limit) { "any number of".to_owned() } else { limit.to_string() };
    let [storage, streams, consumers] = [max_storage, max_streams, max_consumers].map(in_words);
    Finding::ok(
        "limits",
        format!(
            "the platform's account may have {streams} streams, {consumers} consumers and {storage} bytes"
        ),
    )
}

async fn buckets(platform: &Fleet) -> Finding {
    match provisioning::plan(platform, &Layout::default()).await {
        Err(error) => Finding::failed("buckets", error.to_string()),
        Ok(planned) => {
            let others: Vec<&str> = planned
                .iter()
                .filter(|planned| planned.change != Change::Unchanged)
                .map(|planned| planned.name)
                .collect();
            if others.is_empty() {
                return Finding::ok("buckets", format!("all {} are as they should be", planned.len()));
            }
            let others = others.join(", ");
            Finding::failed(
                "buckets",
                format!("missing, or with other settings: {others}; run `harmonyctl init`"),
            )
        }
    }
}

/// Connects as another user of the same servers.
async fn connect_as(platform: &Fleet, access: &Access, login: crate::Login) -> Result<Fleet, ConnectError> {
    let access = Access { login, ..access.clone() };
    Fleet::connect(&crate::Endpoint { access, timeout: platform.timeout() }).await
}

#[cfg(test)]
mod tests {
    use agent_model::Verdict;

    use super::*;

    #[test]
    fn an_unsafe_release_fails_and_says_what_to_install() {
        assert_eq!(version("2.12.8").verdict, Verdict::Ok);
        let old = version("2.12.5");
        assert_eq!(old.verdict, Verdict::Failed);
        assert!(old.to_string().starts_with("FAILED   version"), "{old}");
        assert!(old.detail.contains("2.12.6"), "{old}");
    }

    #[test]
    fn an_account_without_room_for_the_streams_fails() {
        let limits = |max_storage, max_streams| Limits { max_storage, max_streams, max_consumers: -1 };
        assert_eq!(allowed(&limits(-1, -1)).verdict, Verdict::Ok);
        assert_eq!(allowed(&limits(1 << 40, 7)).verdict, Verdict::Ok);
        for (storage, streams) in [(0, -1), (-1, 4), (-1, 6)] {
            assert_eq!(allowed(&limits(storage, streams)).verdict, Verdict::Failed, "{storage} {streams}");
        }
    }

    #[test]
    fn without_the_operators_folder_it_is_said_what_is_not_known() {
        assert!(unknown().iter().all(|finding| finding.verdict == Verdict::Warning));
        assert!(unknown().iter().all(|finding| finding.detail.contains("--operator DIR")));
    }
}

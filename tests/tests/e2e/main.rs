//! End-to-end tests: the daemon as it ships, on real servers.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "everything here is a test, also the functions that tests share"
)]

/// Makes three tests of each scenario: at a site where devices may do everything, at one where the
/// device has the rights of the wire contract alone, and there once more with Scores for documents.
/// At each it must get by with these rights.
macro_rules! at_each_site {
    ($($scenario:ident),+ $(,)?) => {
        scenarios!(open, Open, AgentManifest: $($scenario),+);
        in_each_format!($($scenario),+);
    };
}

/// Makes two tests of each scenario, at sites where the device has the rights of the wire contract
/// alone: with manifests for documents, and with Scores.
macro_rules! in_each_format {
    ($($scenario:ident),+ $(,)?) => {
        scenarios!(restricted, Restricted, AgentManifest: $($scenario),+);
        scenarios!(as_scores, Restricted, Score: $($scenario),+);
    };
}

/// Makes a test more of each scenario, on the oldest server that may be used.
macro_rules! on_the_oldest_server_too {
    ($($scenario:ident),+ $(,)?) => {
        scenarios!(oldest_server, Restricted, AgentManifest, Oldest: $($scenario),+);
    };
}

/// Makes two tests of each scenario about the transport alone: on the server that the project works with, and on
/// the oldest one that may be used.
macro_rules! on_each_server {
    ($($scenario:ident),+ $(,)?) => {
        scenarios!(pinned_server, Restricted, AgentManifest: $($scenario),+);
        on_the_oldest_server_too!($($scenario),+);
    };
}

macro_rules! scenarios {
    ($module:ident, $access:ident, $format:ident: $($scenario:ident),+) => {
        scenarios!($module, $access, $format, Pinned: $($scenario),+);
    };
    ($module:ident, $access:ident, $format:ident, $version:ident: $($scenario:ident),+) => {
        mod $module {
            use tests::{document::Format, nats_server::Version, site::{Access, Site}};
            $(
                #[tokio::test]
                async fn $scenario() {
                    let site = Site::start_on(Version::$version, Access::$access).await;
                    let mut site = site.with_format(Format::$format);
                    super::$scenario(&mut site).await;
                    site.assert_nothing_was_forbidden();
                }
            )+
        }
    };
}

/// Makes two tests of each scenario that sets up its servers itself: on the release that the project works with, and
/// on the oldest one that may be used.
macro_rules! on_each_version {
    ($($scenario:ident),+ $(,)?) => {
        on_each_version!(pinned_server, Pinned: $($scenario),+);
        on_each_version!(oldest_server, Oldest: $($scenario),+);
    };
    ($module:ident, $version:ident: $($scenario:ident),+) => {
        mod $module {
            use tests::nats_server::Version;
            $(
                #[tokio::test]
                async fn $scenario() {
                    super::$scenario(Version::$version).await;
                }
            )+
        }
    };
}

mod audit;
mod breaking_headers;
mod check;
mod configuration_file;
mod containers;
mod convergence;
mod convert;
mod crash_walk;
mod cutover;
mod dependency_star;
mod document_history;
mod documentation;
mod drift;
mod enrollment;
mod event_publication;
mod events;
mod every_kind;
mod failing_resource;
mod harmonyctl;
mod harness;
mod hints;
mod jobs;
mod ledger_damage;
mod logs;
mod migration;
mod never_seen;
mod offline;
mod older_agent;
mod operator_mode;
mod own_score;
mod page;
mod pause;
mod policy;
mod power_cut;
mod processes;
mod provisioning;
mod random_faults;
mod rebuilt_buckets;
mod refusals;
mod reset_generation;
mod rollback;
mod safe_mode;
mod schema;
mod score_bridge_compiled_out;
mod score_documents;
mod sealed;
mod secure_connections;
mod service;
mod service_processes;
mod signing;
mod state_disk;
mod state_folder_lock;
mod status_words;
mod symlink_race;
mod third_format;
mod transport;
mod units;
mod watching;

//! End-to-end tests: the daemon as it ships, on real servers.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "everything here is a test, also the functions that tests share"
)]

/// Makes two tests of each scenario: at a site where devices may do everything, and at one where
/// the device has the rights of the wire contract alone. At both it must get by with these.
macro_rules! at_both_sites {
    (@ $module:ident $access:ident: $($scenario:ident),+) => {
        mod $module {
            use tests::site::{Access, Site};
            $(
                #[tokio::test]
                async fn $scenario() {
                    let mut site = Site::start(Access::$access).await;
                    super::$scenario(&mut site).await;
                    site.assert_nothing_was_forbidden();
                }
            )+
        }
    };
    ($($scenario:ident),+ $(,)?) => {
        at_both_sites!(@ open Open: $($scenario),+);
        at_both_sites!(@ restricted Restricted: $($scenario),+);
    };
}

mod convergence;
mod dependency_star;
mod drift;
mod failing_resource;
mod harmonyctl;
mod harness;
mod hints;
mod ledger_damage;
mod offline;
mod power_cut;
mod provisioning;
mod rebuilt_buckets;
mod refusals;
mod state_disk;
mod state_folder_lock;
mod status_words;

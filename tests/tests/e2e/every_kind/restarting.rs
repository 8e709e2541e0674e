//! A change restarts what names it, and nothing besides.

use serde_json::Value;
use tests::{
    document::authored,
    harmonyctl::Harmonyctl,
    site::{Access, DEVICE, Site},
};

use super::{have_started, identity, installed, resources};
use crate::status_words::{Counts, converged_at, counts, resource};

#[tokio::test]
async fn a_change_restarts_what_asked_for_it_and_nothing_else() {
    let site = Site::start(Access::Restricted).await;
    let device = installed(&site).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let apply = async |generation: u64, resources: &[Value]| {
        let ran = shell.apply(&[authored(DEVICE, resources)]).await;
        ran.assert_ended(0);
        site.platform.status_where(DEVICE, "converged", converged_at(generation)).await
    };
    let first = apply(1, &resources("1", "first")).await;
    let mut expected = vec!["layout", "web 1", "recorder 1", "watch"];
    have_started(&device, &expected, "all that was asked for has started").await;
    let watch = identity(&device, &first, "watch").await;

    // Another file: the container and the unit, the one that waits after the other.
    let second = apply(2, &resources("2", "first")).await;
    expected.extend(["web 2", "recorder 2"]);
    have_started(&device, &expected, "all that was asked for has started").await;
    assert_eq!(identity(&device, &second, "watch").await, watch);
    let web = identity(&device, &second, "web").await;

    // Another unit: itself and the process.
    let third = apply(3, &resources("2", "second")).await;
    expected.extend(["recorder 2", "watch"]);
    have_started(&device, &expected, "all that was asked for has started").await;
    assert_eq!(identity(&device, &third, "web").await, web);
    assert_ne!(identity(&device, &third, "watch").await, watch);

    for (name, counted) in [
        ("layout", Counts { changes: 1, restarts: 0, drift_corrections: 0 }),
        ("web-settings", Counts { changes: 2, restarts: 0, drift_corrections: 0 }),
        ("web", Counts { changes: 2, restarts: 1, drift_corrections: 0 }),
        ("recorder", Counts { changes: 3, restarts: 2, drift_corrections: 0 }),
        ("watch", Counts { changes: 2, restarts: 1, drift_corrections: 0 }),
    ] {
        assert_eq!(counts(&third, name), counted, "{name}");
    }
    assert_eq!(resource(&third, "layout"), resource(&first, "layout"));
    site.assert_nothing_was_forbidden();
}

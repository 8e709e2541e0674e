//! What somebody alters by hand is put right, because it is noticed and not because time passes.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tests::{
    document::file,
    site::{DEVICE, Site},
};

use crate::status_words::{converged_at, resource};

at_each_site!(
    what_was_altered_by_hand_is_repaired_at_once_and_counted_as_drift,
    a_file_in_a_new_folder_that_leads_on_to_others_is_watched_from_the_first_pass_on,
);

async fn what_was_altered_by_hand_is_repaired_at_once_and_counted_as_drift(site: &mut Site) {
    // With a drift timer this long, only an event can be what wakes the agent.
    let mut device = site.device().with("drift_interval", "1h").with("resync_interval", "1h");
    device.start();
    let document = site.document(1, &[file("a", "/etc/app/a", "ours"), file("b", "/etc/app/b", "ours")]);
    site.platform.put(DEVICE, &document).await;
    let first = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let applied = first.applied.clone().unwrap();

    let path = device.path("/etc/app/a");
    let by_hand: [(&str, &dyn Fn()); 4] = [
        ("content", &|| fs::write(&path, "by hand").unwrap()),
        ("mode", &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap()),
        ("absence", &|| fs::remove_file(&path).unwrap()),
        ("type", &|| {
            // In one step, so that the agent cannot repair half of it.
            std::os::unix::fs::symlink("b", device.path("/link")).unwrap();
            fs::rename(device.path("/link"), &path).unwrap();
        }),
    ];
    for (count, (what, alter)) in (1..).zip(by_hand) {
        alter();
        let status = site
            .platform
            .status_where(DEVICE, &format!("{count} repairs, the last of {what}"), |status| {
                converged_at(1)(status) && resource(status, "a").drift_corrections == count
            })
            .await;
        device.eventually_holds("/etc/app/a", "ours").await;
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert!(metadata.is_file(), "{what}");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o644, "{what}");
        assert_eq!(resource(&status, "a").changes, 1, "a repair is no change");
        assert_eq!(resource(&status, "b").drift_corrections, 0);
        assert_eq!(status.applied.as_ref(), Some(&applied), "drift does not move applied");
    }

    fs::rename(device.path("/etc/app"), device.path("/gone")).unwrap();
    device.eventually_holds("/etc/app/a", "ours").await;
    device.eventually_holds("/etc/app/b", "ours").await;
    site.platform
        .status_where(DEVICE, "both repaired", |status| {
            converged_at(1)(status)
                && resource(status, "a").drift_corrections == 5
                && resource(status, "b").drift_corrections == 1
        })
        .await;
}

async fn a_file_in_a_new_folder_that_leads_on_to_others_is_watched_from_the_first_pass_on(site: &mut Site) {
    let mut device = site.device().with("drift_interval", "1h").with("resync_interval", "1h");
    device.start();
    let resources = [file("deep", "/etc/app/deep/a", "ours"), file("shallow", "/etc/motd", "ours")];
    site.platform.put(DEVICE, &site.document(1, &resources)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    for (name, path) in [("shallow", "/etc/motd"), ("deep", "/etc/app/deep/a")] {
        device.write_by_hand(path, "by hand");
        device.eventually_holds(path, "ours").await;
        site.platform
            .status_where(DEVICE, "one repair", |status| resource(status, name).drift_corrections == 1)
            .await;
    }
}

//! The agent is killed at every single crash point that a change of a unit passes, one after the other, and
//! started again. systemd and the unit live on meanwhile.

use std::fs;

use agent_model::status::AgentStatus;
use serde_json::{Value, json};
use tests::{
    document::manifest,
    eventually::eventually,
    site::{Access, DEVICE, Site},
    systemd_container::{BUILT, PROGRAMS, SERVICE, SystemdContainer},
};

use super::{FOLDER, property, starts, unit, waiting};
use crate::{
    service::settings,
    status_words::{converged_at, of_a_later_process},
};

/// More crash points than any change passes: beyond it, something repeats without an end.
const TOO_MANY: u64 = 200;

fn app(mark: &str) -> Value {
    let drop_ins = json!({"x.conf": format!("[Service]\nTasksMax={}\n", 50 + mark.len())});
    unit("app", "app.service", json!({"content": waiting("app", mark), "dropIns": drop_ins, "enabled": true}))
}

/// Sets where the service crashes next; at no place by itself.
async fn crash_after(device: &SystemdContainer, points: Option<u64>) {
    let folder = device.path(&format!("{FOLDER}/{SERVICE}.service.d"));
    fs::create_dir_all(&folder).unwrap();
    let points = points.map(|points| format!("Environment=\"FAILPOINTS=crash={points}*off->return\"\n"));
    let text = format!("[Service]\nRestart=no\n{}", points.unwrap_or_default());
    fs::write(folder.join("crash.conf"), text).unwrap();
    device.systemctl(&["daemon-reload"]).await;
}

#[tokio::test]
async fn a_change_and_a_removal_survive_a_power_cut_of_the_agent_at_every_step() {
    let site = Site::start(Access::Restricted).await;
    let device = SystemdContainer::boot().await;
    device.install_agent(&settings(&site.server.url())).await;
    device.shell(&format!("install {BUILT}/harmony-agent-crash-points {PROGRAMS}/{SERVICE}.new; mv {PROGRAMS}/{SERVICE}.new {PROGRAMS}/{SERVICE}")).await;
    crash_after(&device, None).await;
    device.systemctl(&["restart", SERVICE]).await;
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[app("0")])).await;
    let mut last = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let mut generation = 1;
    let mut walked = [0, 0];
    // A change of all that there is, and then a removal with all that comes before the next one.
    for (case, walked) in walked.iter_mut().enumerate() {
        for passed in 0..TOO_MANY {
            let place = format!("case {case}, after a crash past {passed} points");
            let before = starts(&device, "app").await;
            device.systemctl(&["stop", SERVICE]).await;
            generation += 1;
            let resources = if case == 0 { vec![app(&format!("{generation}"))] } else { vec![] };
            site.platform.put(DEVICE, &manifest(DEVICE, generation, &resources)).await;
            crash_after(&device, Some(passed)).await;
            // One that crashes early has never said that it was up.
            let _ = device.exec(&["systemctl", "start", SERVICE]).await;
            let crashed = eventually("the agent crashed or converged", async || {
                if matches!(device.property("ActiveState").await.as_str(), "failed" | "inactive") {
                    return Ok(true);
                }
                match site.platform.status(DEVICE).await {
                    Ok(status) if converged_at(generation)(&status) => Ok(false),
                    other => Err(format!("{:?}", other.map(|status| status.phase))),
                }
            })
            .await;
            crash_after(&device, None).await;
            last = restarted(&site, &device, &last, generation, &place).await;
            let after = starts(&device, "app").await;
            let left = device.shell(&format!("find {FOLDER} -name '.harmony*'")).await;
            assert_eq!(left, "", "{place}");
            if case == 0 {
                assert_eq!(
                    after,
                    before + 1,
                    "a start too many or too few, {place}\n{}",
                    device.journal().await
                );
                assert_eq!(
                    property(&device, "app.service", "Description").await,
                    generation.to_string(),
                    "{place}"
                );
                let app = crate::status_words::resource(&last, "app");
                assert_eq!(
                    (app.changes, app.drift_corrections, app.restarts),
                    (generation, 0, generation - 1),
                    "{place}\n{}",
                    device.journal().await
                );
            } else {
                assert_eq!(property(&device, "app.service", "LoadState").await, "not-found", "{place}");
                assert_eq!(device.shell(&format!("find {FOLDER} -name 'app*'")).await, "", "{place}");
                generation += 1;
                site.platform.put(DEVICE, &manifest(DEVICE, generation, &[app("again")])).await;
                last = site.platform.status_where(DEVICE, "there again", converged_at(generation)).await;
            }
            if !crashed {
                break;
            }
            *walked += 1;
        }
    }
    println!("{walked:?} crash points");
    assert!(walked[0] > 20 && walked[1] > 15, "only {walked:?}: is this build armed?");
}

async fn restarted(
    site: &Site,
    device: &SystemdContainer,
    last: &AgentStatus,
    generation: u64,
    place: &str,
) -> AgentStatus {
    let begun = agent_model::Timestamp::now();
    device.systemctl(&["restart", SERVICE]).await;
    let later = of_a_later_process(last);
    let is_so = |status: &AgentStatus| {
        later(status) && status.agent_info.started_at >= begun && converged_at(generation)(status)
    };
    site.platform.status_where(DEVICE, place, is_so).await
}

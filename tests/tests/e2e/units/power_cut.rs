//! The agent is killed at every single crash point of what can befall a unit, and started again. systemd and the unit
//! live on meanwhile.

use std::{fs, path::Path};

use agent_model::{Timestamp, status::AgentStatus};
use serde_json::{Value, json};
use tests::{
    document::manifest,
    eventually::eventually,
    site::{Access, DEVICE, Site},
    systemd_container::{BUILT, PROGRAMS, SERVICE, SystemdContainer},
};

use super::{FOLDER, property, starts, unit};
use crate::{
    crash_walk::{Round, place, walk},
    service::settings,
    status_words::{Counts, converged_at, counts},
};

const ROUND: Round<'static> = &[("first start", 20), ("change", 25), ("removal", 18)];

/// Where the service reads at which crash point it is to end.
const CRASH_AT: &str = "/run/crash-at";

/// A unit with all that one may have. Such a service is up as soon as its first process ends.
fn app(mark: u64) -> Value {
    let content = format!(
        "[Unit]\nDescription={mark}\n[Service]\nType=forking\n\
         ExecStart=/bin/sh -c 'echo start >>/var/app; sleep infinity &'\n[Install]\nWantedBy=multi-user.target\n"
    );
    let drop_ins = json!({"x.conf": format!("[Service]\nTasksMax={}\n", 50 + mark)});
    unit("app", "app.service", json!({"content": content, "dropIns": drop_ins, "enabled": true}))
}

/// A device whose agent can be told where to end.
struct Walked<'s> {
    device: SystemdContainer,
    site: &'s Site,
    generation: u64,
}

impl<'s> Walked<'s> {
    async fn boot(site: &'s Site) -> Self {
        let device = SystemdContainer::boot().await;
        device.install_agent(&settings(&site.server.url())).await;
        device
            .shell(&format!(
                "install {BUILT}/{SERVICE}-crash-points {PROGRAMS}/{SERVICE}.new; mv {PROGRAMS}/{SERVICE}.new {PROGRAMS}/{SERVICE}"
            ))
            .await;
        device.override_service("Restart=no").await;
        device.override_service(&format!("EnvironmentFile=-{CRASH_AT}")).await;
        Self { device, site, generation: 0 }
    }

    /// The file is read at the next start; the unit of the service stays as it is.
    fn crash_past(&self, points: Option<u32>) {
        let text =
            points.map_or_else(String::new, |points| format!("FAILPOINTS=crash={points}*off->return\n"));
        fs::write(self.device.path(CRASH_AT), text).unwrap();
    }

    /// The same as [`Walker::change`](crate::crash_walk::Walker::change) with a service.
    async fn change(&mut self, resources: &[Value], passed: Option<u32>) -> (bool, AgentStatus) {
        let Self { device, site, generation } = self;
        device.systemctl(&["stop", SERVICE]).await;
        *generation += 1;
        let is_over = converged_at(*generation);
        site.platform.put(DEVICE, &manifest(DEVICE, *generation, resources)).await;
        let was_killed = match passed {
            Some(_) => {
                self.crash_past(passed);
                self.is_killed_on_its_way(&is_over).await
            }
            None => false,
        };
        self.crash_past(None);
        let begun = Timestamp::now();
        self.device.systemctl(&["start", SERVICE]).await;
        let is_its_own = |status: &AgentStatus| status.agent_info.started_at >= begun && is_over(status);
        let status = self.site.platform.status_where(DEVICE, &place(passed), is_its_own).await;
        (was_killed, status)
    }

    async fn is_killed_on_its_way(&self, is_over: impl Fn(&AgentStatus) -> bool) -> bool {
        // One that ends early has never said that it was up.
        let _ = self.device.exec(&["systemctl", "start", SERVICE]).await;
        let pid = self.device.property("MainPID").await;
        let process = self.device.path(&format!("/proc/{pid}"));
        eventually("the agent got to the end or was killed", async || {
            if pid == "0" || !Path::new(&process).exists() {
                return Ok(());
            }
            match self.site.platform.status(DEVICE).await {
                Ok(status) if is_over(&status) => Ok(()),
                other => Err(format!("{:?}", other.map(|status| status.phase))),
            }
        })
        .await;
        self.device.systemctl(&["stop", SERVICE]).await;
        match self.device.property("Result").await.as_str() {
            "signal" => true,
            "success" => false,
            other => panic!("the agent ended by itself: {other}\n{}", self.device.journal().await),
        }
    }
}

#[tokio::test]
async fn what_befalls_a_unit_survives_a_power_cut_of_the_agent_at_every_step() {
    let site = Site::start(Access::Restricted).await;
    let walked = Walked::boot(&site).await;
    walk(ROUND, vec![walked], async |walked, change, passed| {
        let before = starts(&walked.device, "app").await;
        let mark = walked.generation;
        let resources = if change == 2 { vec![] } else { vec![app(mark)] };
        let (was_killed, status) = walked.change(&resources, passed).await;
        let device = &walked.device;
        let about = format!("{}, {}", ROUND[change].0, place(passed));
        let started = starts(device, "app").await - before;
        let left = device.shell(&format!("find {FOLDER} -name '.harmony*'")).await;
        assert_eq!(left, "", "{about}");
        if change == 2 {
            assert_eq!(property(device, "app.service", "LoadState").await, "not-found", "{about}");
            assert_eq!(device.shell(&format!("find {FOLDER} -name 'app*'")).await, "", "{about}");
            assert_eq!(started, 0, "{about}");
        } else {
            let is = (counts(&status, "app"), started, property(device, "app.service", "Description").await);
            let restarts = change as u64;
            let expected =
                (Counts { changes: 1 + restarts, restarts, drift_corrections: 0 }, 1, mark.to_string());
            assert_eq!(is, expected, "{about}\n{}", device.journal().await);
        }
        was_killed
    })
    .await;
}

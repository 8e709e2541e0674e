//! What restarts a process, and what does not.

use process_shim::ProcessIdentity;
use serde_json::{Value, json};
use tests::{
    agent::Agent,
    document::{file, process},
    site::{Access, DEVICE, Site},
};

use crate::status_words::{converged_at, resource};

/// A device at work.
struct Work<'a> {
    site: &'a Site,
    device: Agent,
    generation: u64,
    restarts: u64,
}

impl Work<'_> {
    /// Applies a document; the process is to be restarted so many times for it.
    async fn apply(&mut self, resources: &[Value], restarts: u64) {
        let before = self.process();
        self.generation += 1;
        self.restarts += restarts;
        self.site.platform.put(DEVICE, &self.site.document(self.generation, resources)).await;
        let status =
            self.site.platform.status_where(DEVICE, "converged", converged_at(self.generation)).await;
        let web = resource(&status, "web");
        assert_eq!((web.restarts, web.drift_corrections), (self.restarts, 0), "{resources:?}");
        let Some(before) = before else { return };
        if restarts == 0 {
            assert_eq!(self.process(), Some(before), "another process for {resources:?}");
        } else {
            assert!(
                self.process() != Some(before) && !before.is_alive(),
                "the same process for {resources:?}"
            );
        }
    }

    fn process(&self) -> Option<ProcessIdentity> {
        let folder = self.device.process_folder("web");
        folder.path().exists().then(|| self.device.process("web"))
    }
}

#[tokio::test]
async fn a_process_is_restarted_once_for_what_it_names_and_for_nothing_else() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let mut work = Work { site: &site, device, generation: 0, restarts: 0 };
    let named = |content: &str| file("named", "/etc/named", content);
    let other = |content: &str| file("other", "/etc/other", content);
    let web = |depends_on: &[&str], restart_on: &[&str]| {
        let mut web = process("web", &["sleep", "infinity"]);
        (web["dependsOn"], web["restartOn"]) = (json!(depends_on), json!(restart_on));
        web
    };
    let both = &["named", "other"];
    work.apply(&[named("1"), other("1"), web(both, &["named"])], 0).await;
    work.apply(&[named("1"), other("2"), web(both, &["named"])], 0).await;
    work.apply(&[named("2"), other("2"), web(both, &["named"])], 1).await;
    work.apply(&[named("2"), other("2"), web(both, &["named"])], 0).await;
    work.apply(&[web(&["other", "named"], &["named"]), other("2"), named("2")], 0).await;
    work.apply(&[web(&["other"], &["named"]), other("2"), named("2")], 0).await;
    // Under another name it is the same file.
    work.apply(&[web(&[], &["renamed"]), file("renamed", "/etc/named", "2")], 0).await;
    work.apply(&[web(&[], &["renamed"]), file("renamed", "/etc/named", "3")], 1).await;

    // Spelt otherwise, it says the same.
    let mut spelt_out = web(&[], &["renamed"]);
    spelt_out["spec"] = json!({
        "restart": "Always", "stopTimeout": "10000ms", "stopSignal": "TERM", "log": {"maxSize": "10240Ki", "keep": 3},
        "workdir": "/", "env": {}, "command": ["sleep", "infinity"],
    });
    work.apply(&[spelt_out, file("renamed", "/etc/named", "3")], 0).await;

    // What somebody does to the file by hand is repaired, and no reason to restart anything.
    let before = work.process();
    work.device.write_by_hand("/etc/named", "by hand");
    work.device.eventually_holds("/etc/named", "3").await;
    let repaired = |status: &_| converged_at(9)(status) && resource(status, "renamed").drift_corrections == 1;
    let status = site.platform.status_where(DEVICE, "repaired", repaired).await;
    assert_eq!((resource(&status, "web").restarts, work.process()), (2, before));
}

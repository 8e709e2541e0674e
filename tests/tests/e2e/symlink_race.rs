//! Somebody on the device changes the folders above a file while it is written.

use std::{
    fs,
    os::unix::fs::{chown, lchown, symlink},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{JoinHandle, spawn},
};

use agent_model::status::AgentStatus;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tests::{
    document::{file, manifest},
    site::{Access, DEVICE, Site},
    snapshot::snapshot,
};

/// A user that the device gives a folder to.
const USER: u32 = 4711;
/// Documents that are written meanwhile.
const DOCUMENTS: u64 = 25;

/// Exchanges two entries as fast as it can, until it goes out of scope.
struct Flipping {
    stop: Arc<AtomicBool>,
    times: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flipping {
    fn start(one: PathBuf, other: PathBuf) -> Self {
        let (stop, times) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&times));
        let thread = spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, times, thread: Some(thread) }
    }
}

impl Drop for Flipping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[tokio::test]
async fn a_folder_that_becomes_a_link_while_a_file_is_written_below_it_leads_the_agent_nowhere() {
    assert!(rustix::process::geteuid().is_root(), "this test must run as root");
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    let [victim, data, link] =
        ["/etc/victim", "/srv/app/data", "/srv/app/link"].map(|path| device.path(path));
    fs::create_dir_all(&victim).unwrap();
    fs::write(victim.join("conf"), "precious").unwrap();
    fs::create_dir_all(&data).unwrap();
    symlink("../../etc/victim", &link).unwrap();
    for given in [data.parent().unwrap(), &data] {
        chown(given, Some(USER), Some(USER)).unwrap();
    }
    lchown(&link, Some(USER), Some(USER)).unwrap();
    let before = snapshot(&victim);
    device.start();

    let flipping = Flipping::start(data.clone(), link.clone());
    let (mut written, mut refused) = (false, false);
    for generation in 1..=DOCUMENTS {
        let resource = file("conf", "/srv/app/data/conf", &generation.to_string());
        site.platform.put(DEVICE, &manifest(DEVICE, generation, &[resource])).await;
        let tried = |status: &AgentStatus| {
            let accepted = status.accepted.as_ref().map(|accepted| accepted.generation.get());
            accepted == Some(generation) && (status.summary.ready == 1 || status.summary.failed == 1)
        };
        let status = site.platform.status_where(DEVICE, "it was tried", tried).await;
        written |= status.summary.ready == 1;
        refused |= status.resources[0].reason == "UnsafePath";
        assert_eq!(snapshot(&victim), before, "at {generation}");
    }
    assert!(written && refused, "both were met: {written} {refused}");
    assert!(flipping.times.load(Ordering::Relaxed) > DOCUMENTS, "it was never exchanged");

    // Removing what was written goes the same way.
    site.platform.put(DEVICE, &manifest(DEVICE, DOCUMENTS + 1, &[])).await;
    let tried = |status: &AgentStatus| {
        status.accepted.as_ref().is_some_and(|accepted| accepted.generation.get() == DOCUMENTS + 1)
            && (status.summary.total == 0 || status.summary.failed > 0)
    };
    site.platform.status_where(DEVICE, "removal was tried", tried).await;
    drop(flipping);
    assert_eq!(snapshot(&victim), before);
}

//! A device with a real systemd, on which the agent is installed as a service: a container whose first
//! process is systemd's, with a disk of its own that outlives reboots.
//!
//! ```text
//! let mut device = SystemdContainer::boot().await;             // Debian, with nothing of the agent
//! device.install_agent(&[("agent_id", "edge-0001"), …]).await; // as a service, started and enabled
//! device.systemctl(&["restart", SERVICE]).await;
//! device.shell("pidof harmony-agent").await;                   // anything, as root
//! fs::read(device.path("/etc/motd"))                           // its files, from outside
//! device.reboot().await;                                       // what was enabled is up again
//! ```
//!
//! It has the network of the machine, so a [`NatsServer`](crate::nats_server::NatsServer) of the test is in
//! reach by its own URL. Two such devices run at a time: [`boot`](SystemdContainer::boot) waits until one of
//! other tests is gone.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tokio::sync::{Mutex, MutexGuard};

use crate::{
    container_runtime::{BOX, importing, make_root},
    eventually::eventually,
    podman::Podman,
    process::{Finished, built, finish},
};

/// The service.
pub const SERVICE: &str = "harmony-agent";
/// Where the programs of this workspace lie on each device, besides what is installed there.
pub const BUILT: &str = "/mnt/built";
/// Where `deploy/` lies there.
pub const DEPLOY: &str = "/mnt/deploy";
/// The folder that the programs are installed in.
pub const PROGRAMS: &str = "/usr/libexec/harmony-agent";
/// The folder of the agent's configuration.
const CONFIGURATION: &str = "/etc/harmony-agent";
/// The agent as it ships.
const AGENT: &str = "harmony-agent";
/// The agent with the Score bridge built in.
const AGENT_WITH_SCORES: &str = "harmony-agent-with-scores";
/// What holds its processes.
const SHIM: &str = "process-shim";

const CONTAINER: &str = "device";
/// Where the id of the present boot is seen inside, before it takes the place of the machine's.
const BOOT_ID: &str = "/mnt/boot_id";
/// How long systemd may take to shut down before it is cut short, in seconds.
const SHUTDOWN: &str = "20";

/// Settings of the device's own podman, for the reasons of those of a test's ([`Podman`]).
const PODMAN: [(&str, &str); 2] = [
    (
        "containers.conf",
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
         [engine]\ncgroup_manager = \"cgroupfs\"\nruntime = \"runc\"\n",
    ),
    (
        "storage.conf",
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"/var/lib/containers/storage\"\nrunroot = \"/run/containers/storage\"\n",
    ),
];

/// Two systemds at once make each other slow, and the control groups of one get in the way of the other's containers.
static TURN: Mutex<()> = Mutex::const_new(());

/// A device that is booted. It goes with this value, and when the test is killed.
#[derive(Debug)]
pub struct SystemdContainer {
    podman: Podman,
    /// As the machine numbers it, with which everything inside can be seen from outside.
    first_process: u32,
    // After the container, so that it is gone when another one's turn comes.
    _turn: MutexGuard<'static, ()>,
}

impl SystemdContainer {
    /// A device with nothing of the agent's on it.
    pub async fn boot() -> Self {
        let turn = TURN.lock().await;
        let mut device = Self { podman: Podman::new(), first_process: 0, _turn: turn };
        device.create().await;
        device.start().await;
        device
    }

    /// Installs the agent with these settings as a service, which is started now and at each boot. Returns when
    /// the agent says that it is up.
    pub async fn install_agent(&self, settings: &[(&str, &str)]) {
        self.install(AGENT, settings).await;
    }

    /// The same with an agent that can read Scores, on a device of this policy.
    pub async fn install_agent_with_scores(&self, settings: &[(&str, &str)], policy: &str) {
        self.shell(&format!("install -d -m 0700 {CONFIGURATION}")).await;
        fs::write(self.path(&format!("{CONFIGURATION}/policy.toml")), policy).unwrap();
        self.install(AGENT_WITH_SCORES, settings).await;
    }

    async fn install(&self, agent: &str, settings: &[(&str, &str)]) {
        let mut configuration = "allow_unsigned = true\n".to_owned();
        for (key, value) in settings {
            writeln!(configuration, "{key} = {value:?}").unwrap();
        }
        self.shell(&format!(
            "install -D {BUILT}/{agent} {PROGRAMS}/{SERVICE}
             install {BUILT}/{SHIM} {PROGRAMS}
             install -m 0644 {DEPLOY}/{SERVICE}.service /etc/systemd/system/
             install -d -m 0700 {CONFIGURATION}"
        ))
        .await;
        fs::write(self.path(&format!("{CONFIGURATION}/config.toml")), configuration).unwrap();
        self.systemctl(&["daemon-reload"]).await;
        self.systemctl(&["enable", "--now", SERVICE]).await;
    }

    /// Has the device's own podman listen where it usually does, now and after each boot, with the image [`BOX`].
    ///
    /// Its containers end with the device, as everything on it does.
    pub async fn enable_podman(&self) {
        for (name, settings) in PODMAN {
            fs::write(self.path(&format!("/etc/containers/{name}")), settings).unwrap();
        }
        let root = Path::new("/var/lib/box");
        make_root(&self.path("/var/lib/box"));
        self.shell(&importing(root, "podman import --quiet", BOX)).await;
        self.systemctl(&["enable", "--now", "podman.socket"]).await;
    }

    /// Sets something else of the service than the unit does, from its next start on: `WatchdogSec=5s`.
    pub async fn override_service(&self, line: &str) {
        let folder = self.path(&format!("/etc/systemd/system/{SERVICE}.service.d"));
        fs::create_dir_all(&folder).unwrap();
        let name = line.split('=').next().unwrap_or(line);
        fs::write(folder.join(name).with_extension("conf"), format!("[Service]\n{line}\n")).unwrap();
        self.systemctl(&["daemon-reload"]).await;
    }

    /// Runs `systemctl` and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub async fn systemctl(&self, arguments: &[&str]) -> String {
        let command: Vec<&str> = ["systemctl"].iter().chain(arguments).copied().collect();
        self.exec(&command).await.success()
    }

    /// A property of the service, as `systemctl show` names them: `MainPID`.
    pub async fn property(&self, name: &str) -> String {
        self.systemctl(&["show", "--property", name, "--value", SERVICE]).await.trim_end().to_owned()
    }

    /// Waits until a property of the service is such, and returns it.
    pub async fn property_where(&self, name: &str, is_such: impl Fn(&str) -> bool) -> String {
        eventually(&format!("{name} of the service is as expected"), async || {
            let value = self.property(name).await;
            if is_such(&value) { Ok(value) } else { Err(format!("it is {value:?}")) }
        })
        .await
    }

    /// Runs a program on the device, to its end.
    pub async fn exec(&self, command: &[&str]) -> Finished {
        // Podman has a command for this, and takes fifty times as long.
        let inside = inside(self.first_process);
        let command: Vec<String> =
            inside.iter().map(String::as_str).chain(command.iter().copied()).map(str::to_owned).collect();
        finish(&command, &[]).await
    }

    /// Runs a script of the shell on the device and returns what it printed.
    ///
    /// # Panics
    /// When one of its commands fails.
    pub async fn shell(&self, script: &str) -> String {
        self.exec(&["sh", "-euc", script]).await.success()
    }

    /// All that the service and systemd about it logged since the device was booted.
    pub async fn journal(&self) -> String {
        self.exec(&JOURNAL).await.success()
    }

    /// Where a path of the device lies, as seen from outside while it runs. An absolute symlink on the way there
    /// would lead to what the machine itself has under that name.
    pub fn path(&self, path: &str) -> PathBuf {
        let root = Path::new("/proc").join(self.first_process.to_string()).join("root");
        root.join(path.trim_start_matches('/'))
    }

    /// Waits until a file of the device has this content.
    pub async fn eventually_holds(&self, path: &str, content: &str) {
        eventually(&format!("{path} holds {content:?}"), async || {
            match fs::read_to_string(self.path(path)) {
                Ok(found) if found == content => Ok(()),
                Ok(found) => Err(format!("it holds {found:?}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Shuts the device down in good order, and boots it again with another boot id and what is on its disk.
    pub async fn reboot(&mut self) {
        self.podman.run(&["stop", "--time", SHUTDOWN, CONTAINER]).await.success();
        self.start().await;
    }

    /// The folder outside in which all of it lies, and which goes with it.
    pub fn folder(&self) -> &Path {
        self.podman.folder()
    }

    async fn create(&self) {
        let root = format!("{}:O", system_root().display());
        let programs = built(AGENT);
        let mounts = [
            (programs.parent().unwrap().to_owned(), BUILT),
            (Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy"), DEPLOY),
            (self.boot_id(), BOOT_ID),
        ];
        fs::write(self.boot_id(), "").unwrap();
        let mounts = mounts.map(|(outside, inside)| format!("--volume={}:{inside}:ro", outside.display()));
        let cgroup = format!("--cgroup-parent={}", self.podman.cgroup());
        let first = format!("mount --bind {BOOT_ID} /proc/sys/kernel/random/boot_id; exec /sbin/init");
        // Its own control groups are the root of what it sees, without which it could run no containers itself.
        let mut create = vec![
            "create",
            "--name",
            CONTAINER,
            "--systemd=always",
            "--privileged",
            "--network=host",
            "--cgroupns=private",
        ];
        create.extend(mounts.iter().chain([&cgroup]).map(String::as_str));
        create.extend(["--rootfs", &root, "sh", "-euc", &first]);
        self.podman.run(&create).await.success();
    }

    async fn start(&mut self) {
        fs::write(self.boot_id(), fs::read("/proc/sys/kernel/random/uuid").unwrap()).unwrap();
        self.podman.run(&["start", CONTAINER]).await.success();
        let pid = self.podman.run(&["inspect", "--format={{.State.Pid}}", CONTAINER]).await.success();
        self.first_process = pid.trim_end().parse().expect("a container that runs has a process");
        eventually("systemd has started everything", async || {
            // With a service that failed it is degraded, and whether one did is for the test to say.
            let Finished { stdout, stderr, .. } =
                self.exec(&["systemctl", "is-system-running", "--wait"]).await;
            match stdout.trim_end() {
                "running" | "degraded" => Ok(()),
                state => Err(format!("{state}{stderr}")),
            }
        })
        .await;
    }

    fn boot_id(&self) -> PathBuf {
        self.podman.folder().join("boot_id")
    }
}

impl Drop for SystemdContainer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let [program, arguments @ ..] = &inside(self.first_process);
            let journal = Command::new(program).args(arguments).args(JOURNAL).output();
            let shown = journal.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            eprintln!("---- journal of {SERVICE} ----\n{}", shown.unwrap_or_else(|error| error.to_string()));
        }
    }
}

/// The beginning of a command that is run where that process is.
fn inside(process: u32) -> [String; 7] {
    let target = process.to_string();
    ["nsenter", "--target", &target, "--all", "env", "--ignore-environment", PATH].map(str::to_owned)
}

/// What programs of the system are found by.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const JOURNAL: [&str; 6] = ["journalctl", "--no-pager", "--output=cat", "--unit", SERVICE, "--lines=1000"];

/// A root folder with systemd; made once where need be.
fn system_root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/systemd-root");
        let output = Command::new(&script).output().expect("scripts/systemd-root runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "no system to boot:\n{said}");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
    })
}

//! The daemon, as a process of its own on a device of its own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use process_shim::{ProcessFolder, ProcessIdentity, ShimRecord};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    eventually::eventually,
    process::{Process, built, was_killed},
    workloads,
};

/// The agent as it ships.
const PROGRAM: &str = "harmony-agent";
/// The agent that can be told at which crash point to die.
const PROGRAM_WITH_CRASH_POINTS: &str = "harmony-agent-crash-points";
/// The agent with the Score bridge built in.
const PROGRAM_WITH_SCORES: &str = "harmony-agent-with-scores";

/// What the unit in `deploy/` puts into the agent's environment.
pub const ENVIRONMENT: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

/// How far a device can read Scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bridge {
    /// Its agent is built without the Score bridge, as it ships.
    CompiledOut,
    /// Its agent has the bridge, which is switched off.
    Disabled,
    /// Its agent has the bridge, which is switched on.
    Enabled,
}

/// A device with one agent, running or not. Its folders and all that its agent started outlive the
/// agent's process and go with this value.
#[derive(Debug)]
pub struct Agent {
    // Before the folder, so that the process is gone when the folder goes.
    process: Option<Process>,
    id: String,
    url: String,
    state_dir: PathBuf,
    program: PathBuf,
    settings: BTreeMap<String, String>,
    policy: BTreeMap<String, String>,
    allows_unsigned: bool,
    small_disk: Option<&'static str>,
    boot_id: Option<&'static str>,
    has_control_groups: bool,
    network: Option<PathBuf>,
    programs: Option<PathBuf>,
    folder: TempDir,
}

impl Agent {
    /// A device whose agent does not run yet, and will look for a server at `url`.
    pub fn new(id: &str, url: &str) -> Self {
        let folder = TempDir::with_prefix("harmony-device-").unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Self {
            process: None,
            id: id.to_owned(),
            url: url.to_owned(),
            state_dir: folder.path().join("state"),
            program: PROGRAM.into(),
            settings: BTreeMap::new(),
            policy: BTreeMap::new(),
            allows_unsigned: true,
            small_disk: None,
            boot_id: None,
            has_control_groups: true,
            network: None,
            programs: None,
            folder,
        }
    }

    /// Sets a key of the agent's configuration file: `("drift_interval", "1h")`.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets a rule of the device's policy, from the next start on: `("paths", "['/srv']")`.
    #[must_use]
    pub fn with_rule(mut self, rule: &str, value: &str) -> Self {
        self.policy.insert(rule.to_owned(), value.to_owned());
        self
    }

    /// Trusts the holders of these keys, files of that name and text in its trust folder, and nobody else, from the
    /// next start on.
    #[must_use]
    pub fn trusting(mut self, keys: &[(&str, &str)]) -> Self {
        self.trust(keys);
        self
    }

    /// The same of a device that is there already.
    pub fn trust(&mut self, keys: &[(&str, &str)]) {
        let folder = self.trust_folder();
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        for (name, text) in keys {
            fs::write(folder.join(name), text).unwrap();
        }
        self.allows_unsigned = false;
    }

    /// Accepts what nobody has signed as well, from the next start on.
    #[must_use]
    pub fn allowing_unsigned(mut self) -> Self {
        self.allows_unsigned = true;
        self
    }

    /// Where the keys lie that it trusts; there is no such folder until it trusts any.
    pub fn trust_folder(&self) -> PathBuf {
        self.folder.path().join("trust")
    }

    /// Has the Score bridge, or has it not, from the next start on.
    #[must_use]
    pub fn with_bridge(mut self, bridge: Bridge) -> Self {
        let (program, rule) = match bridge {
            Bridge::CompiledOut => (PROGRAM, None),
            Bridge::Disabled => (PROGRAM_WITH_SCORES, Some("'Disabled'")),
            Bridge::Enabled => (PROGRAM_WITH_SCORES, Some("'Enabled'")),
        };
        self.program = program.into();
        self.policy.remove("formats.Score");
        self.policy.extend(rule.map(|rule| ("formats.Score".to_owned(), rule.to_owned())));
        self
    }

    /// Has another program for an agent, from the next start on: the name of one of this workspace, or where one lies.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// Uses that folder as state folder, instead of one beside the device's root.
    #[must_use]
    pub fn with_state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = path.into();
        self
    }

    /// Puts the state folder on a disk of its own of that size (as `mount` takes it), which ends
    /// with the agent's process.
    #[must_use]
    pub fn with_small_disk(mut self, size: &'static str) -> Self {
        self.small_disk = Some(size);
        self
    }

    /// Is in the boot of that id from the next start of its agent on, as is all that this agent starts.
    #[must_use]
    pub fn with_boot_id(mut self, boot_id: &'static str) -> Self {
        self.boot_id = Some(boot_id);
        self
    }

    /// Has no control groups from the next start of its agent on.
    #[must_use]
    pub fn without_control_groups(mut self) -> Self {
        self.has_control_groups = false;
        self
    }

    /// Is in that network namespace, a file as `ip netns` makes them, from the next start of its agent on.
    #[must_use]
    pub fn in_network(mut self, namespace: impl Into<PathBuf>) -> Self {
        self.network = Some(namespace.into());
        self
    }

    /// Has no other programs of the system than those in that folder, from the next start of its agent on.
    #[must_use]
    pub fn with_programs_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.programs = Some(folder.into());
        self
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where a path of a document lies in truth: below the agent's `--root`.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// The agent's `--root`.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The agent's state folder, as a running agent sees it.
    pub fn state_dir(&self) -> PathBuf {
        match (&self.process, self.small_disk) {
            // The agent's own mounts are to be seen through its process only.
            (Some(process), Some(_)) => {
                let inside = self.state_dir.strip_prefix("/").unwrap();
                Path::new("/proc").join(process.id().to_string()).join("root").join(inside)
            }
            _ => self.state_dir.clone(),
        }
    }

    /// Starts the agent.
    pub fn start(&mut self) {
        self.launch(&self.program.clone(), &[]);
    }

    /// Starts the agent that dies at the crash point after `passed` others.
    pub fn start_to_crash_after(&mut self, passed: u32) {
        self.start_with_crash_points(format!("crash={passed}*off->return"));
    }

    /// Starts the agent that dies whenever it comes to the place of that name: `observe File:/etc/a`, or
    /// `apply File:/etc/a`.
    pub fn start_to_crash_at(&mut self, place: &str) {
        self.start_with_crash_points(format!("{place}=return"));
    }

    /// The same with one that panics there.
    pub fn start_to_panic_at(&mut self, place: &str) {
        self.start_with_crash_points(format!("{place}=panic"));
    }

    fn start_with_crash_points(&mut self, failpoints: String) {
        self.launch(Path::new(PROGRAM_WITH_CRASH_POINTS), &[("FAILPOINTS".to_owned(), failpoints)]);
    }

    /// Whether the agent's process is there.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    /// How the agent ended if it did; then it can be started again.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_mut()?.ended()?;
        self.process = None;
        Some(status)
    }

    /// Waits until the agent ends by itself.
    pub async fn end(&mut self) -> ExitStatus {
        let status = self.process.as_mut().expect("the agent was started").end().await;
        self.process = None;
        status
    }

    /// Asks the agent to stop (SIGTERM) and waits until it did.
    ///
    /// # Panics
    /// When it does not end with exit code 0.
    pub async fn stop(&mut self) {
        let status = self.terminate().await;
        assert_eq!(status.code(), Some(0), "a stopped agent ends with 0: {status}\n{}", self.log());
    }

    /// Asks the agent to stop (SIGTERM), waits until it did and says how.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.take().expect("the agent was started").terminate().await
    }

    /// Ends the agent as a power cut would.
    pub fn kill(&mut self) {
        self.process.take().expect("the agent was started").kill();
    }

    /// Ends the agent and all that it started, as a power cut would.
    pub fn power_off(&mut self) {
        // The agent first: it would start again what ends.
        self.process = None;
        workloads::end_all(&self.state_dir);
    }

    /// All that the agent logged, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Waits until the agent has logged these words.
    pub async fn eventually_logs(&self, words: &str) {
        eventually(&format!("{} logs {words:?}", self.id), async || {
            let log = self.log();
            log.contains(words).then_some(()).ok_or(log)
        })
        .await;
    }

    /// Has the agent stand still, as if it were given no processor.
    pub fn freeze(&mut self) {
        self.process.as_mut().expect("the agent was started").signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.process.as_mut().expect("the agent was started").signal(Signal::CONT);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the agent was started").id()
    }

    /// Runs another command of the agent's program on its state folder, to its end; returns the exit
    /// code and all that was printed.
    pub async fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let folder = ["--state-dir", self.state_dir.to_str().expect("temporary folders have plain names")];
        self.finish(arguments.iter().copied().chain(folder).map(str::to_owned)).await
    }

    /// The same, but with nothing else than the agent's configuration file, as it is written when the agent is started,
    /// to tell which folder that is.
    pub async fn command_by_file(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let file = ["--config".to_owned(), text(&self.configuration_file())];
        self.finish(arguments.iter().map(|&argument| argument.to_owned()).chain(file)).await
    }

    /// Runs a command on the state folder that has to succeed; returns what was printed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn told(&self, arguments: &[&str]) -> String {
        let (code, printed) = self.command(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {printed}");
        printed
    }

    /// Runs the command that checks this device, with all that the agent would be started with.
    pub async fn check(&self) -> (Option<i32>, String) {
        self.finish(["check".to_owned()].into_iter().chain(self.settings_of_run())).await
    }

    async fn finish(&self, arguments: impl IntoIterator<Item = String>) -> (Option<i32>, String) {
        let printed = self.folder.path().join("printed");
        let _ = fs::remove_file(&printed);
        let command: Vec<String> = [text(&built(&self.program))].into_iter().chain(arguments).collect();
        let process = Process::start(&self.id, &command, &[], &printed);
        let status = process.expect("a program that exists can be started").end().await;
        (status.code(), fs::read_to_string(&printed).unwrap())
    }

    /// The records of its audit log, the oldest first, as long as they fit into one file.
    ///
    /// # Panics
    /// When one of its lines is none.
    pub fn audit(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.state_dir().join("audit.jsonl")).expect("there is a log");
        // What comes after the last line is being written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("each line is a record")).collect()
    }

    /// The folder of one of its processes.
    pub fn process_folder(&self, name: &str) -> ProcessFolder {
        ProcessFolder::of(self.state_dir().join("processes").join(name))
    }

    /// What the shim of one of its processes says.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn shim_record(&self, name: &str) -> ShimRecord {
        let record = ShimRecord::read(&self.process_folder(name).shim_record());
        record.unwrap().unwrap_or_else(|| panic!("no shim ever held {name}\n{}", self.log()))
    }

    /// One of its processes.
    ///
    /// # Panics
    /// When there is no such process, or it never ran.
    pub fn process(&self, name: &str) -> ProcessIdentity {
        self.shim_record(name).process.unwrap_or_else(|| panic!("{name} was not started\n{}", self.log()))
    }

    /// All that runs because of its agents: shims, processes, and what these have started.
    pub fn workloads(&self) -> Vec<ProcessIdentity> {
        workloads::running(&self.state_dir)
    }

    /// The control groups that hold those of its processes.
    pub fn control_groups(&self) -> Vec<PathBuf> {
        workloads::control_groups(&self.state_dir)
    }

    /// Runs a shell command in the agent's own view of the disk.
    pub fn run_inside(&self, script: &str) {
        let pid = self.pid().to_string();
        let status = std::process::Command::new("nsenter")
            .args([
                "--target",
                &pid,
                "--user",
                "--mount",
                "--preserve-credentials",
                "--",
                "sh",
                "-euc",
                script,
            ])
            .status()
            .expect("nsenter runs");
        assert!(status.success(), "{script}: {status}");
    }

    /// Waits until a file of the device has this content.
    pub async fn eventually_holds(&self, path: &str, content: &str) {
        eventually(&format!("{path} holds {content:?}"), async || match fs::read(self.path(path)) {
            Ok(found) if found == content.as_bytes() => Ok(()),
            Ok(found) => Err(format!("it holds {:?}", String::from_utf8_lossy(&found))),
            Err(error) => Err(error.to_string()),
        })
        .await;
    }

    /// Writes a file of the device by hand, making its folders.
    pub fn write_by_hand(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// What a file of the device holds.
    pub fn read(&self, path: &str) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The device's policy, written when its agent is started.
    pub fn policy_file(&self) -> PathBuf {
        self.folder.path().join("policy.toml")
    }

    fn configuration_file(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("agent.log")
    }

    /// The settings of `run`, as flags; those without a flag go into the configuration file.
    fn settings_of_run(&self) -> Vec<String> {
        let configuration = self.configuration_file();
        let lines: String = self.settings.iter().map(|(key, value)| format!("{key} = {value:?}\n")).collect();
        fs::write(&configuration, lines).unwrap();
        let policy: String = self.policy.iter().map(|(rule, value)| format!("{rule} = {value}\n")).collect();
        fs::write(self.policy_file(), policy).unwrap();
        let settings = [
            ("--config", text(&configuration)),
            ("--policy", text(&self.policy_file())),
            ("--agent-id", self.id.clone()),
            ("--nats-url", self.url.clone()),
            ("--state-dir", text(&self.state_dir)),
            ("--root", text(&self.root())),
        ];
        let trust = self.trust_folder();
        let trust = trust.exists().then(|| ["--trust-dir".to_owned(), text(&trust)]);
        let unsigned = self.allows_unsigned.then(|| "--allow-unsigned".to_owned());
        let flags = settings.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        unsigned.into_iter().chain(trust.into_iter().flatten()).chain(flags).collect()
    }

    fn launch(&mut self, program: &Path, environment: &[(String, String)]) {
        assert!(self.process.is_none(), "the agent was started already");
        let mut command = Vec::new();
        let mut mounts = Vec::new();
        if let Some(size) = self.small_disk {
            fs::create_dir_all(&self.state_dir).unwrap();
            mounts.push(format!(
                "mount -t tmpfs -o size={size},mode=0700 tmpfs '{}'",
                self.state_dir.display()
            ));
        }
        if let Some(boot_id) = self.boot_id {
            let file = self.folder.path().join("boot_id");
            fs::write(&file, boot_id).unwrap();
            mounts.push(format!("mount --bind '{}' /proc/sys/kernel/random/boot_id", file.display()));
        }
        if !self.has_control_groups {
            mounts.push("mount -t tmpfs tmpfs /sys/fs/cgroup".to_owned());
        }
        if let Some(network) = &self.network {
            command.extend(["nsenter".to_owned(), format!("--net={}", network.display()), "--".to_owned()]);
        }
        if !mounts.is_empty() {
            command.extend(["unshare", "-rm", "sh", "-euc"].map(str::to_owned));
            // The kernel forgets who is to be ended with whom when credentials change, so it is
            // told again inside.
            command.push(format!("{}; exec setpriv --pdeathsig KILL -- \"$@\"", mounts.join("; ")));
            command.push("sh".to_owned());
        }
        if let Some(programs) = &self.programs {
            command.extend(["env".to_owned(), format!("PATH={}", programs.display())]);
        }
        command.extend([text(&built(program)), "run".to_owned()]);
        command.extend(self.settings_of_run());
        let of_the_unit = (ENVIRONMENT.0.to_owned(), ENVIRONMENT.1.to_owned());
        let environment = [environment, &[of_the_unit]].concat();
        let process = Process::start(&self.id, &command, &environment, &self.log_file());
        self.process = Some(process.expect("a program that exists can be started"));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.power_off();
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary folders have plain names").to_owned()
}

/// Whether the agent was ended at a crash point, rather than by itself.
///
/// # Panics
/// When it ended in any other way than by a crash point or in good order.
pub fn crashed(status: ExitStatus) -> bool {
    assert!(was_killed(status) || status.success(), "the agent ended by itself: {status}");
    was_killed(status)
}

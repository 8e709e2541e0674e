//! From the agent's start to its end, and what it logged meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use rustix::process::Signal;

use super::{Agent, text};
use crate::{
    eventually::eventually,
    process::{Process, built, was_killed},
    workloads,
};

/// The agent that can be told at which crash point to die.
const PROGRAM_WITH_CRASH_POINTS: &str = "harmony-agent-crash-points";

/// What the unit in `deploy/` puts into the agent's environment.
pub const ENVIRONMENT: (&str, &str) = ("MALLOC_ARENA_MAX", "1");

impl Agent {
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

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("agent.log")
    }
}

/// Whether the agent was ended at a crash point, rather than by itself.
///
/// # Panics
/// When it ended in any other way than by a crash point or in good order.
pub fn crashed(status: ExitStatus) -> bool {
    assert!(was_killed(status) || status.success(), "the agent ended by itself: {status}");
    was_killed(status)
}

//! What a device is given before its agent starts.

use std::{fs, path::PathBuf};

use super::{Agent, PROGRAM, text};

/// The agent with the Score bridge built in.
const PROGRAM_WITH_SCORES: &str = "harmony-agent-with-scores";

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

impl Agent {
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

    /// Where the keys lie that it trusts; there is no such folder until it trusts any.
    pub fn trust_folder(&self) -> PathBuf {
        self.folder.path().join("trust")
    }

    /// The device's policy, written when its agent is started.
    pub fn policy_file(&self) -> PathBuf {
        self.folder.path().join("policy.toml")
    }

    pub(super) fn configuration_file(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }

    /// The settings of `run`, as flags; those without a flag go into the configuration file.
    pub(super) fn settings_of_run(&self) -> Vec<String> {
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
}

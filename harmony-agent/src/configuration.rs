//! From flags, environment and file to one configuration.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use agent_core::{
    kv::{Access, DesiredWatchSettings, HeartbeatTask, Login, Tls},
    policy::{self, Policy},
    runtime::DEFAULT_DRIFT_INTERVAL,
    signing::{self, Trust},
};
use agent_model::{AgentId, with_causes};
use reconcilers::{container_sockets, registry_logins};

use crate::{
    CommandError,
    cli::{LogFormat, LogLevel, RunArgs, Settings, StateFolder},
    scores::{self, SCORE},
};

/// Read when no other file is named, and only if it is there.
const DEFAULT_CONFIG: &str = "/etc/harmony-agent/config.toml";
/// The same for the folder of trusted keys.
const DEFAULT_TRUST_DIR: &str = "/etc/harmony-agent/trust";
/// The same for the policy.
const DEFAULT_POLICY: &str = "/etc/harmony-agent/policy.toml";
/// Where the state lies unless told otherwise.
const DEFAULT_STATE_DIR: &str = "/var/lib/harmony-agent";
const VARIABLE_PREFIX: &str = "HARMONY_AGENT_";

/// All that `run` needs to know.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) agent: AgentId,
    pub(crate) access: Access,
    /// Whose documents are accepted.
    pub(crate) trust: Trust,
    pub(crate) ground: Ground,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: LogLevel,
    pub(crate) resync_interval: Duration,
    pub(crate) drift_interval: Duration,
    pub(crate) heartbeat_interval: Duration,
    /// The file that it was read from.
    pub(crate) file: Option<PathBuf>,
}

/// What documents meet on this device: what they may do, and where.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) policy: Policy,
    /// The file that it was read from; `None` where the one that is built in holds.
    pub(crate) policy_file: Option<PathBuf>,
    pub(crate) state_dir: PathBuf,
    pub(crate) root: PathBuf,
    /// The files that the agent itself is set up with; nobody may claim them.
    pub(crate) own_files: Vec<PathBuf>,
    pub(crate) containers: ContainerGround,
}

/// What containers are made with.
#[derive(Debug)]
pub(crate) struct ContainerGround {
    /// The sockets to try.
    pub(crate) sockets: Vec<PathBuf>,
    /// Files with logins for registries.
    pub(crate) logins: Vec<PathBuf>,
    /// How long images stay that nothing uses.
    pub(crate) images_kept_for: Duration,
}

impl ContainerGround {
    /// Long enough that a fleet which goes back to the version before it does not pull it again.
    const IMAGES_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

    fn of(given: &Settings, from_file: &Settings) -> Self {
        let either =
            |get: fn(&Settings) -> &Option<PathBuf>| get(given).clone().or_else(|| get(from_file).clone());
        Self {
            sockets: container_sockets(either(|settings| &settings.container_socket)),
            logins: registry_logins(either(|settings| &settings.registry_auth)),
            images_kept_for: given
                .image_gc_after
                .or(from_file.image_gc_after)
                .unwrap_or(Self::IMAGES_KEPT_FOR),
        }
    }
}

impl Ground {
    /// As the file of the configuration and `given`, which wins over it, have it.
    pub(crate) fn load(config: Option<PathBuf>, given: &Settings) -> Result<Self, CommandError> {
        let (file, from_file) = settings_file(config)?;
        Self::of(file.as_deref(), given, &from_file)
    }

    /// That of a device which nobody has set up.
    pub(crate) fn built_in(state_dir: PathBuf, root: PathBuf) -> Self {
        let containers = ContainerGround::of(&Settings::default(), &Settings::default());
        Self {
            policy: Policy::default(),
            policy_file: None,
            state_dir,
            root,
            own_files: Vec::new(),
            containers,
        }
    }

    fn of(file: Option<&Path>, given: &Settings, from_file: &Settings) -> Result<Self, CommandError> {
        let either =
            |get: fn(&Settings) -> &Option<PathBuf>| get(given).clone().or_else(|| get(from_file).clone());
        let (policy, policy_file) = policy(either(|settings| &settings.policy))?;
        let set_up_with = [given, from_file]
            .into_iter()
            .flat_map(|it| {
                [
                    &it.creds,
                    &it.bootstrap_creds,
                    &it.tls_ca,
                    &it.tls_cert,
                    &it.tls_key,
                    &it.registry_auth,
                    &it.trust_dir,
                ]
            })
            .filter_map(Option::as_deref);
        let own_files = set_up_with.chain(file).chain(policy_file.as_deref()).map(Path::to_owned).collect();
        Ok(Self {
            policy,
            policy_file,
            state_dir: state_dir(either(|settings| &settings.state_dir)),
            root: either(|settings| &settings.root).unwrap_or_else(|| "/".into()),
            own_files,
            containers: ContainerGround::of(given, from_file),
        })
    }
}

/// The policy in the file that is named, or where it usually lies.
fn policy(named: Option<PathBuf>) -> Result<(Policy, Option<PathBuf>), CommandError> {
    let usual = || there_is(DEFAULT_POLICY).then(|| DEFAULT_POLICY.into());
    let file = named.or_else(usual);
    let read = file.as_deref().map(policy::read).transpose();
    let mut policy = read.map_err(|error| CommandError::Usage(with_causes(&error)))?.unwrap_or_default();
    // Written out, so that whoever looks at the policy sees what it can say.
    policy.formats.insert(SCORE.to_owned(), scores::switch(&policy.formats));
    Ok((policy, file))
}

/// Whether something is there, be it a link that leads nowhere, as to a disk that is not there yet: that does not
/// mean that nobody has said anything.
fn there_is(path: &str) -> bool {
    !fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

impl Configuration {
    /// Merges the sources. Flags and environment are one already: the command line parser lets
    /// the flag win.
    pub(crate) fn load(args: RunArgs) -> Result<Self, CommandError> {
        let (file, from_file) = settings_file(args.config)?;
        let given = args.settings;
        let ground = Ground::of(file.as_deref(), &given, &from_file)?;
        let allows_unsigned = given.allow_unsigned.or(from_file.allow_unsigned).unwrap_or(false);
        let trust_dir = given.trust_dir.clone().or_else(|| from_file.trust_dir.clone());
        let trust = trust(trust_dir, allows_unsigned)?;
        let Way { agent, urls, tls } = Way::of(&given, &from_file)?;
        let login = given.creds.or(from_file.creds).map_or(Login::AsInUrls, Login::Credentials);
        Ok(Self {
            agent,
            access: Access { urls, login, tls },
            trust,
            ground,
            log_format: given.log_format.or(from_file.log_format).unwrap_or(LogFormat::Text),
            log_level: given.log_level.or(from_file.log_level).unwrap_or(LogLevel::Info),
            resync_interval: given
                .resync_interval
                .or(from_file.resync_interval)
                .unwrap_or(DesiredWatchSettings::default().resync_interval),
            drift_interval: given
                .drift_interval
                .or(from_file.drift_interval)
                .unwrap_or(DEFAULT_DRIFT_INTERVAL),
            heartbeat_interval: given
                .heartbeat_interval
                .or(from_file.heartbeat_interval)
                .unwrap_or(HeartbeatTask::DEFAULT_INTERVAL),
            file,
        })
    }
}

/// Who this device is and where it connects to.
struct Way {
    agent: AgentId,
    urls: Vec<String>,
    tls: Tls,
}

impl Way {
    fn of(given: &Settings, from_file: &Settings) -> Result<Self, CommandError> {
        let either =
            |get: fn(&Settings) -> &Option<PathBuf>| get(given).clone().or_else(|| get(from_file).clone());
        // An empty variable, as service files set them, is none.
        let given_urls: Vec<String> = given.nats_url.iter().filter(|url| !url.is_empty()).cloned().collect();
        let urls = if given_urls.is_empty() { from_file.nats_url.clone() } else { given_urls };
        if urls.is_empty() {
            return Err(CommandError::Usage("no server is given; give --nats-url nats://HOST:4222".into()));
        }
        let name = given.agent_id.clone().or_else(|| from_file.agent_id.clone()).ok_or_else(|| {
            CommandError::Usage("this device has no name; give --agent-id ID, the key of its entry".into())
        })?;
        let agent = name.find().map_err(|error| CommandError::Usage(with_causes(&error)))?;
        let tls = Tls::of(either(|it| &it.tls_ca), either(|it| &it.tls_cert), either(|it| &it.tls_key))
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        Ok(Self { agent, urls, tls })
    }
}

/// All that `enroll` needs to know.
#[derive(Debug)]
pub(crate) struct EnrollmentConfiguration {
    pub(crate) agent: AgentId,
    /// With the bootstrap credentials.
    pub(crate) access: Access,
    /// Where the device's own credentials go.
    pub(crate) creds: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: LogLevel,
}

impl EnrollmentConfiguration {
    /// As [`Configuration::load`], of the same settings.
    pub(crate) fn load(args: RunArgs) -> Result<Self, CommandError> {
        let (_, from_file) = settings_file(args.config)?;
        let given = args.settings;
        let Way { agent, urls, tls } = Way::of(&given, &from_file)?;
        let bootstrap = given.bootstrap_creds.or(from_file.bootstrap_creds).ok_or_else(|| {
            CommandError::Usage(
                "there is nothing to ask with; give --bootstrap-creds FILE, as `harmonyctl init --operator` made it"
                    .into(),
            )
        })?;
        let creds = given.creds.or(from_file.creds).ok_or_else(|| {
            CommandError::Usage("give --creds FILE, where this device's own credentials are to be".into())
        })?;
        if creds == bootstrap {
            return Err(CommandError::Usage(
                "--creds and --bootstrap-creds are the same file; the device's own need another one".into(),
            ));
        }
        Ok(Self {
            agent,
            access: Access { urls, login: Login::Credentials(bootstrap), tls },
            creds,
            state_dir: state_dir(given.state_dir.or(from_file.state_dir)),
            log_format: given.log_format.or(from_file.log_format).unwrap_or(LogFormat::Text),
            log_level: given.log_level.or(from_file.log_level).unwrap_or(LogLevel::Info),
        })
    }
}

impl StateFolder {
    /// The folder that is given, else that of the file. Where it is given the file is not read, so that whoever may not
    /// read it, or finds it broken, can say where the state is.
    pub(crate) fn find(&self) -> Result<PathBuf, CommandError> {
        if let Some(given) = &self.state_dir {
            return Ok(given.clone());
        }
        let (_, from_file) = settings_file(self.config.clone()).map_err(|error| {
            CommandError::Usage(format!(
                "cannot tell where the agent keeps its state, so give its --state-dir: {error}"
            ))
        })?;
        Ok(state_dir(from_file.state_dir))
    }
}

fn state_dir(named: Option<PathBuf>) -> PathBuf {
    named.unwrap_or_else(|| DEFAULT_STATE_DIR.into())
}

/// Whose documents are accepted: those of the keys in the folder that is named, or where it usually lies.
fn trust(named: Option<PathBuf>, allows_unsigned: bool) -> Result<Trust, CommandError> {
    let usual = || there_is(DEFAULT_TRUST_DIR).then(|| DEFAULT_TRUST_DIR.into());
    match named.or_else(usual) {
        Some(folder) => signing::read_trust_folder(&folder)
            .map(|keys| Trust::in_keys(keys, allows_unsigned))
            .map_err(|error| CommandError::Usage(with_causes(&error))),
        None if allows_unsigned => Ok(Trust::in_anybody()),
        None => Err(CommandError::Usage(format!(
            "nobody is trusted to say what this device should be; give --trust-dir DIR with the public keys of those who \
             sign for it, or put them in {DEFAULT_TRUST_DIR} (--allow-unsigned instead lets whoever can write the bucket \
             rule this device)"
        ))),
    }
}

/// The settings in the file that is named, or where it usually lies, and which that is.
fn settings_file(named: Option<PathBuf>) -> Result<(Option<PathBuf>, Settings), CommandError> {
    Ok(match named {
        Some(path) => {
            let settings = read(&path)?.ok_or_else(|| missing(&path))?;
            (Some(path), settings)
        }
        None => match read(Path::new(DEFAULT_CONFIG))? {
            Some(settings) => (Some(DEFAULT_CONFIG.into()), settings),
            None => (None, Settings::default()),
        },
    })
}

/// The settings in a file; `None` when there is no such file.
fn read(path: &Path) -> Result<Option<Settings>, CommandError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(CommandError::Usage(format!(
                "cannot read the configuration {}: {error}",
                path.display()
            )));
        }
    };
    toml::from_str(&text).map(Some).map_err(|error| {
        CommandError::Usage(format!("the configuration {} is wrong:\n{error}", path.display()))
    })
}

fn missing(path: &Path) -> CommandError {
    CommandError::Usage(format!("there is no configuration {}", path.display()))
}

/// Variables that look like settings and are none, for a warning: a misspelt one has no effect.
pub(crate) fn unknown_variables() -> Vec<String> {
    let known: Vec<String> = {
        use clap::CommandFactory;
        let command = crate::cli::Cli::command();
        command
            .get_subcommands()
            .flat_map(|subcommand| subcommand.get_arguments())
            .filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned))
            .collect()
    };
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(VARIABLE_PREFIX) && !known.contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn load(flags: &[&str], file: &str) -> Result<Configuration, String> {
        let mut config = tempfile::NamedTempFile::new().unwrap();
        config.write_all(file.as_bytes()).unwrap();
        let path = config.path().to_str().unwrap().to_owned();
        let line = ["harmony-agent", "run", "--config", &path];
        let cli = Cli::parse_from(line.iter().chain(flags));
        let Command::Run(args) = cli.command else { panic!("not run") };
        Configuration::load(args).map_err(|error| error.to_string())
    }

    const FILE: &str =
        "agent_id = 'from-file'\nnats_url = 'nats://file:1'\nallow_unsigned = true\ndrift_interval = '7m'\n";

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let configuration = load(&["--agent-id", "from-flag"], FILE).unwrap();
        assert_eq!(configuration.agent.as_str(), "from-flag");
        assert_eq!(configuration.access.urls, ["nats://file:1"]);
        assert_eq!(configuration.drift_interval, Duration::from_secs(420));
        assert_eq!(configuration.heartbeat_interval, HeartbeatTask::DEFAULT_INTERVAL);
    }

    /// Where the agent's state is for somebody who pauses it with this configuration file.
    fn state_folder(config: &Path, flags: &[&str]) -> Result<PathBuf, String> {
        let line = ["harmony-agent", "pause", "--config", config.to_str().unwrap()];
        let cli = Cli::parse_from(line.iter().chain(flags));
        let Command::Pause(args) = cli.command else { panic!("not pause") };
        args.state.find().map_err(|error| error.to_string())
    }

    #[test]
    fn the_state_folder_is_that_of_the_flag_then_of_the_file_then_the_usual_one() {
        let mut config = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(state_folder(config.path(), &[]), Ok(DEFAULT_STATE_DIR.into()));
        config.write_all(FILE.as_bytes()).unwrap();
        assert_eq!(state_folder(config.path(), &[]), Ok(DEFAULT_STATE_DIR.into()));
        config.write_all(b"state_dir = '/data/agent'\n").unwrap();
        assert_eq!(state_folder(config.path(), &[]), Ok("/data/agent".into()));
        assert_eq!(state_folder(config.path(), &["--state-dir", "/flag"]), Ok("/flag".into()));
    }

    #[test]
    fn a_file_that_does_not_tell_the_state_folder_is_named_with_the_place_and_is_not_needed_where_it_is_given()
     {
        let mut wrong = tempfile::NamedTempFile::new().unwrap();
        wrong.write_all(b"state_dir = '/data/agent'\nstat_dir = '/data'\n").unwrap();
        let missing = Path::new("/nonexistent/config.toml");
        // Nobody can read a folder as a file, not even root.
        let unreadable = tempfile::tempdir().unwrap();
        for (config, place) in [(wrong.path(), "line 2"), (missing, "no"), (unreadable.path(), "cannot read")]
        {
            let error = state_folder(config, &[]).unwrap_err();
            for part in ["--state-dir", config.to_str().unwrap(), place] {
                assert!(error.contains(part), "{error:?} does not contain {part:?}");
            }
            assert_eq!(state_folder(config, &["--state-dir", "/flag"]), Ok("/flag".into()));
        }
    }

    #[test]
    fn a_relative_path_is_refused_in_the_file_with_its_line_and_not_as_a_flag() {
        for setting in [
            "bootstrap_creds",
            "container_socket",
            "creds",
            "policy",
            "registry_auth",
            "root",
            "state_dir",
            "tls_ca",
            "tls_cert",
            "tls_key",
            "trust_dir",
        ] {
            for path in ["data/agent", ".", ""] {
                let error = load(&[], &format!("{FILE}{setting} = {path:?}\n")).unwrap_err();
                for part in ["line 5", setting, "from / on"] {
                    assert!(error.contains(part), "{error:?} does not contain {part:?}");
                }
            }
        }
        let configuration = load(&["--state-dir", "data/agent"], FILE).unwrap();
        assert_eq!(configuration.ground.state_dir, Path::new("data/agent"));
    }

    #[test]
    fn several_servers_are_a_list_or_have_commas_between_them() {
        let both = ["tls://a:4222", "tls://b:4222"];
        for value in [
            "'tls://a:4222,tls://b:4222'",
            "['tls://a:4222', 'tls://b:4222']",
            "['tls://a:4222,tls://b:4222']",
        ] {
            let file = format!("agent_id = 'a'\nallow_unsigned = true\nnats_url = {value}\n");
            assert_eq!(load(&[], &file).unwrap().access.urls, both, "{value}");
        }
        for flags in [
            &["--nats-url", "tls://a:4222,tls://b:4222"][..],
            &["--nats-url", both[0], "--nats-url", both[1]],
        ] {
            assert_eq!(load(flags, FILE).unwrap().access.urls, both, "{flags:?}");
        }
    }

    #[test]
    fn a_certificate_comes_with_its_key_and_all_files_for_tls_are_the_agents_own() {
        let files = "tls_ca = '/ca'\ntls_cert = '/cert'\n";
        let file = format!("{FILE}{files}");
        assert!(load(&[], &file).unwrap_err().contains("--tls-key"));
        let own = load(&["--tls-key", "/key"], &file).unwrap().ground.own_files;
        assert!(["/ca", "/cert", "/key"].iter().all(|path| own.contains(&path.into())), "{own:?}");
        assert!(load(&["--tls-key", "/key"], FILE).unwrap_err().contains("--tls-cert"));
    }

    #[test]
    fn the_policy_is_that_of_the_flag_then_of_the_file_and_a_named_one_must_be_there() {
        let mut policy = tempfile::NamedTempFile::new().unwrap();
        policy.write_all(b"rootEquivalent = false").unwrap();
        let path = policy.path().to_str().unwrap();
        let in_file = format!("{FILE}policy = '{path}'\n");
        for (flags, file) in [(&["--policy", path][..], FILE), (&[], &in_file)] {
            let ground = load(flags, file).unwrap().ground;
            assert!(!ground.policy.root_equivalent);
            assert!(ground.own_files.contains(&path.into()), "{:?}", ground.own_files);
        }
        let error = load(&["--policy", "/nonexistent"], &in_file).unwrap_err();
        assert_eq!(
            error,
            "the policy cannot be used: cannot read /nonexistent: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn unknown_and_mistyped_keys_of_the_file_are_named() {
        for (line, part) in [
            ("agnet_id = 'a'", "agnet_id"),
            ("drift_interval = 'soon'", "drift_interval"),
            ("nats_url = 5", "expected a string or a list of strings"),
            ("agent_id = '*'", "is not an agent id"),
        ] {
            let error = load(&[], line).unwrap_err();
            assert!(error.contains(part), "{error:?} does not contain {part:?}");
        }
    }

    #[test]
    fn what_is_missing_is_asked_for_by_the_name_of_its_flag() {
        assert!(load(&[], "").unwrap_err().contains("--allow-unsigned"));
        assert!(load(&["--allow-unsigned"], "").unwrap_err().contains("--nats-url"));
        assert!(load(&["--allow-unsigned", "--nats-url", "x"], "").unwrap_err().contains("--agent-id"));
        assert!(load(&["--allow-unsigned=false"], FILE).unwrap_err().contains("--allow-unsigned"));
    }
}

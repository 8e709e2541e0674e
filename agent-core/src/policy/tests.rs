use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use agent_model::{
    Ask, ContainerSpec, Declaration, DesiredState, DesiredStateBuilder, FileSpec, Mount, MountSource,
    Network, PortMapping, Principal, ProcessSpec, RefusalReason, TransportProtocol, with_causes,
};
use proptest::prelude::*;

use super::{judgement::Telling, *};
use crate::{
    fakes::{FakeAccounts, policy},
    guarded_file::GuardedFileError,
};

fn rules(text: &str) -> Policy {
    toml::from_str(text).unwrap()
}

fn file(path: &str) -> DesiredState {
    declared(FileSpec::new(path.parse().unwrap(), "").into())
}

fn process(user: Option<&str>, group: Option<&str>) -> DesiredState {
    let mut spec = ProcessSpec::new(vec!["/bin/app".into()]);
    spec.user = user.map(|user| user.parse().unwrap());
    spec.group = group.map(|group| group.parse().unwrap());
    declared(spec.into())
}

fn declared(spec: agent_model::ResourceSpec) -> DesiredState {
    let mut builder = DesiredStateBuilder::default();
    builder.declare(Declaration::new("", "it".parse().unwrap(), spec));
    builder.finish().unwrap()
}

/// Why that is denied; `None` where it is not.
fn denial(text: &str, state: &DesiredState) -> Option<String> {
    let refusal = policy(rules(text)).judge(state, None).err()?;
    assert_eq!(refusal.reason, RefusalReason::PolicyDenied);
    Some(refusal.message)
}

#[test]
fn without_a_file_all_that_this_agent_makes_is_allowed_and_what_must_be_asked_for_is_not() {
    let default = rules("");
    assert_eq!(default, Policy::default());
    for state in [file("/etc/passwd"), process(None, None), process(Some("ops"), Some("docker"))] {
        assert_eq!(denial("", &state), None);
    }
    assert_eq!(default.shell_jobs, ShellJobRule::Disabled);
    assert!(!default.host_network && default.devices.is_empty());
}

#[test]
fn a_denial_names_the_resource_what_it_asks_for_and_the_rule() {
    assert_eq!(
        denial("paths = ['/srv', '/etc/app']", &file("/etc/apple")).unwrap(),
        r#""it" asks to write /etc/apple, which paths = ["/etc/app","/srv"] does not allow"#
    );
    assert_eq!(
        denial("rootEquivalent = false", &process(Some("ops"), None)).unwrap(),
        "\"it\" asks to run as user ops, which rootEquivalent = false denies because members of the group sudo can make \
         themselves root"
    );
    assert_eq!(
        denial("kinds = ['File']", &process(None, None)).unwrap(),
        r#""it" asks to be a Process, which kinds = ["File"] does not allow"#
    );
    assert_eq!(
        denial("", &file("/own/policy.toml")).unwrap(),
        r#""it" asks to write /own/policy.toml, and /own belongs to the agent itself"#
    );
}

#[test]
fn a_document_is_denied_with_all_that_is_wrong_with_it() {
    let mut builder = DesiredStateBuilder::default();
    for (name, path) in [("a", "/etc/a"), ("b", "/srv/b"), ("c", "/own/c")] {
        builder.declare(Declaration::new(
            "",
            name.parse().unwrap(),
            FileSpec::new(path.parse().unwrap(), ""),
        ));
    }
    let message = denial("paths = ['/srv', '/own']", &builder.finish().unwrap()).unwrap();
    assert!(message.contains(r#""a" asks to write /etc/a"#), "{message}");
    assert!(message.contains(r#""c" asks to write /own/c, and /own belongs"#), "{message}");
    assert!(!message.contains("/srv/b"), "{message}");
}

#[test]
fn a_path_is_allowed_with_all_below_it_and_nothing_beside_it() {
    let text = "paths = ['/srv/app']";
    for (path, allowed) in [
        ("/srv/app", true),
        ("/srv/app/a/b", true),
        ("/srv/apple", false),
        ("/srv", false),
        ("/srv/x", false),
    ] {
        assert_eq!(denial(text, &file(path)).is_none(), allowed, "{path}");
    }
    assert!(denial("paths = []", &file("/srv/app")).is_some());
}

#[test]
fn a_user_is_the_same_by_each_of_its_names() {
    let text = "users = ['app', 'root']";
    for (user, allowed) in [
        (Some("app"), true),
        (Some("1000"), true),
        (Some("root"), true),
        (Some("0"), true),
        // The agent's own, which is root here.
        (None, true),
        (Some("ops"), false),
        (Some("unknown"), false),
        (Some("4242"), false),
    ] {
        assert_eq!(denial(text, &process(user, None)).is_none(), allowed, "{user:?}");
    }
    assert!(denial("users = ['app']", &process(None, None)).is_some());
    assert!(denial("users = []", &process(Some("app"), None)).is_some());
}

/// Accounts of a device whose databases of users or groups cannot be read.
struct Broken {
    users: bool,
}

impl Accounts for Broken {
    fn rights_of(&self, _: Option<&Principal>, _: Option<&Principal>) -> Result<Rights, String> {
        if self.users { Err("no users".into()) } else { Ok(Rights { uid: 1000, groups: vec![1000] }) }
    }

    fn group_of(&self, _: &str) -> Result<Option<u32>, String> {
        Err("no groups".into())
    }

    fn own_uid(&self) -> u32 {
        0
    }
}

#[test]
fn where_nobody_can_tell_whose_rights_a_process_has_it_is_taken_for_root() {
    for users in [true, false] {
        let protected = crate::protected_paths::ProtectedPaths::new("/".into(), Vec::new());
        let policy = DevicePolicy::new(rules("rootEquivalent = false"), protected, Broken { users });
        let message = policy.judge(&process(Some("app"), None), None).unwrap_err().message;
        assert!(message.contains("nobody can tell whose rights that is"), "{message}");
    }
}

#[test]
fn a_refusal_names_some_of_many_and_counts_the_others() {
    let mut builder = DesiredStateBuilder::default();
    for n in 0..1000 {
        let file = FileSpec::new(format!("/etc/f{n}").parse().unwrap(), "");
        builder.declare(Declaration::new("", format!("f{n}").parse().unwrap(), file));
    }
    let message = denial("paths = []", &builder.finish().unwrap()).unwrap();
    assert!(message.contains("\"f15\"") && !message.contains("\"f16\""), "{message}");
    assert!(message.ends_with("; and 984 more resources"), "{message}");
}

#[test]
fn what_is_as_good_as_root_is_denied_wherever_it_hides() {
    let text = "rootEquivalent = false";
    for state in [
        process(None, None),
        process(Some("root"), None),
        process(Some("0"), None),
        process(Some("ops"), None),
        process(Some("app"), Some("docker")),
        process(Some("app"), Some("0")),
        // Nobody can tell whose rights that will be.
        process(Some("unknown"), None),
        file("/etc/cron.d/x"),
        file("/usr/local/bin/x"),
        file("/root/.ssh/authorized_keys"),
        file("/var/spool/cron/crontabs/root"),
        file("/lib/systemd/system/x.service"),
        file("/home/ops/.bashrc"),
        file("/opt"),
    ] {
        assert!(denial(text, &state).is_some(), "{state:?}");
    }
    for state in [
        process(Some("app"), None),
        process(Some("4242"), None),
        file("/opt/app/app.conf"),
        file("/srv/www/index.html"),
        file("/var/opt/app/data"),
    ] {
        assert_eq!(denial(text, &state), None);
    }
}

#[test]
fn a_file_that_grants_rights_is_as_good_as_root_in_any_folder() {
    for (mode, denied) in [("0755", false), ("1755", false), ("4755", true), ("2755", true)] {
        let mut spec = FileSpec::new("/srv/app".parse().unwrap(), "");
        spec.mode = mode.parse().unwrap();
        let state = declared(spec.into());
        assert_eq!(denial("rootEquivalent = false", &state).is_some(), denied, "{mode}");
    }
}

#[test]
fn who_lists_a_folder_within_a_system_folder_answers_for_it() {
    let text = "rootEquivalent = false\npaths = ['/', '/etc/app']";
    assert_eq!(denial(text, &file("/etc/app/app.conf")), None);
    for path in ["/etc/other", "/etc/app.conf", "/usr/bin/x"] {
        assert!(denial(text, &file(path)).is_some(), "{path}");
    }
    // A whole system folder is nothing that anybody can answer for.
    assert!(denial("rootEquivalent = false\npaths = ['/etc']", &file("/etc/app/app.conf")).is_some());
}

#[test]
fn each_thing_that_can_be_asked_for_has_its_rule() {
    let digest = agent_model::Digest::of_bytes(b"echo");
    let path = |path: &str| path.parse::<agent_model::TargetPath>().unwrap();
    let (tty, disk) = (path("/dev/ttyUSB0"), path("/dev/sda"));
    let unit = "app.service".parse().unwrap();
    let listed = format!("shellJobs = 'AllowListed'\nscripts = ['{digest}']");
    for (text, ask, allowed) in [
        ("", Ask::UseHostNetwork, false),
        ("hostNetwork = true", Ask::UseHostNetwork, true),
        ("", Ask::UseDevice(&tty), false),
        ("devices = ['/dev/ttyUSB0']", Ask::UseDevice(&tty), true),
        ("devices = ['/dev/ttyUSB0']", Ask::UseDevice(&disk), false),
        ("", Ask::PublishPort(8080), true),
        ("", Ask::PublishPort(443), false),
        ("ports = '443'", Ask::PublishPort(443), true),
        ("", Ask::PullImage("app"), true),
        ("registries = ['docker.io/library']", Ask::PullImage("busybox:1"), true),
        ("registries = ['docker.io/library']", Ask::PullImage("eclipse/mosquitto"), false),
        ("registries = ['docker.io']", Ask::PullImage("eclipse/mosquitto:2"), true),
        ("registries = ['reg.example:5000']", Ask::PullImage("reg.example:5000/a/b@sha256:1"), true),
        ("registries = ['reg.example']", Ask::PullImage("reg.example.evil/a"), false),
        ("registries = ['docker.io']", Ask::PullImage("localhost/a"), false),
        ("", Ask::ManageUnit(&unit), true),
        ("rootEquivalent = false", Ask::ManageUnit(&unit), false),
        ("", Ask::RuleDevice("install a unit"), true),
        ("rootEquivalent = false", Ask::RuleDevice("install a unit"), false),
        ("", Ask::RunScript(digest), false),
        (listed.as_str(), Ask::RunScript(digest), true),
        (listed.as_str(), Ask::RunScript(agent_model::Digest::of_bytes(b"rm")), false),
        ("shellJobs = 'Signed'", Ask::RunScript(digest), false),
    ] {
        let policy = policy(rules(text));
        let judging = policy.judging(None);
        let mut told = judging.rules_on_ask(ask.clone(), Telling::All);
        let denied = told.any(|ruling| matches!(ruling.verdict, Verdict::Denied(_)));
        assert_eq!(!denied, allowed, "{text:?}: {ask}");
    }
}

#[test]
fn where_only_signed_jobs_may_run_the_verified_signature_decides() {
    let digest = agent_model::Digest::of_bytes(b"id");
    let policy = policy(rules("shellJobs = 'Signed'"));
    let signer = crate::signing::SecretKey::generate().unwrap().public().id();
    for ask in [Ask::RunScript(digest), Ask::SteerScript("choose the interpreter".into())] {
        let verdict =
            |signer| policy.judging(signer).rules_on_ask(ask.clone(), Telling::All).next().unwrap().verdict;
        assert_eq!(verdict(Some(signer)), Verdict::Allowed, "{ask}");
        let Verdict::Denied(Some(why)) = verdict(None) else { panic!("{ask} is not denied with a reason") };
        assert!(why.contains("not signed"), "{why}");
    }
}

fn container(change: impl FnOnce(&mut ContainerSpec)) -> DesiredState {
    let mut spec = ContainerSpec::new("app".parse().unwrap());
    change(&mut spec);
    declared(spec.into())
}

fn mounting(path: &str, read_only: bool) -> DesiredState {
    let source = MountSource::Bind(path.parse().unwrap());
    let mount = Mount { source, target: "/mnt".parse().unwrap(), read_only };
    container(|spec| spec.mounts.push(mount))
}

fn using(device: &str) -> DesiredState {
    container(|spec| spec.devices.extend([device.parse().unwrap()]))
}

fn adding(capability: &str, network: Network) -> DesiredState {
    container(|spec| {
        spec.cap_add.insert(capability.parse().unwrap());
        spec.network = network;
    })
}

#[test]
fn a_container_that_has_nothing_of_the_device_is_no_root() {
    let text = "rootEquivalent = false\nusers = ['app']\npaths = []";
    let volume = MountSource::Volume("data".parse().unwrap());
    let mount = |source, target: &str| Mount { source, target: target.parse().unwrap(), read_only: false };
    for state in [
        container(|_| ()),
        container(|spec| spec.user = Some("root".parse().unwrap())),
        container(|spec| spec.mounts.extend([mount(volume, "/data"), mount(MountSource::Tmpfs, "/tmp")])),
        container(|spec| spec.network = "iot".parse().unwrap()),
    ] {
        assert_eq!(denial(text, &state), None);
    }
}

#[test]
fn what_a_container_may_change_on_the_device_makes_it_root() {
    let text = "rootEquivalent = false\npaths = ['/', '/etc/app']";
    for (path, readable) in [
        ("/srv/data", true),
        ("/opt/app", true),
        ("/etc/app", true),
        ("/etc", false),
        ("/srv", false),
        ("/run/podman/podman.sock", false),
        ("/var/run/docker.sock", false),
        ("/var/lib/docker", false),
        ("/proc", false),
        ("/sys", false),
        ("/dev/sda", false),
        ("/root/.ssh", false),
    ] {
        assert_eq!(denial(text, &mounting(path, true)).is_none(), readable, "{path}");
        assert!(denial(text, &mounting(path, false)).is_some(), "{path}");
        assert_eq!(denial("", &mounting(path, false)), None, "{path}");
    }
    assert_eq!(
        denial(text, &mounting("/srv/data", false)).unwrap(),
        "\"it\" asks to mount /srv/data, which rootEquivalent = false denies because root in the container could leave a \
         program there that makes whoever runs it root on the device"
    );
}

#[test]
fn no_container_sees_the_agents_own_files() {
    for read_only in [true, false] {
        for path in ["/own", "/own/ledger.json"] {
            let message = denial("", &mounting(path, read_only)).unwrap();
            assert!(message.ends_with("and /own belongs to the agent itself"), "{message}");
        }
        assert_eq!(denial("", &mounting("/owner", read_only)), None);
    }
}

#[test]
fn who_lists_a_device_answers_for_it_and_nobody_for_all_devices() {
    for (devices, root_equivalent, allowed) in [
        ("['/dev/sda']", false, true),
        ("['/dev/mapper']", false, false),
        ("['/dev']", false, false),
        ("['/dev']", true, true),
        ("[]", true, false),
    ] {
        let text = format!("rootEquivalent = {root_equivalent}\ndevices = {devices}");
        assert_eq!(denial(&text, &using("/dev/sda")).is_none(), allowed, "{text}");
    }
    assert_eq!(denial("rootEquivalent = false\ndevices = ['/dev/snd']", &using("/dev/snd/timer")), None);
}

#[test]
fn a_capability_that_rules_more_than_its_container_is_as_good_as_root() {
    let text = "rootEquivalent = false\nhostNetwork = true";
    for (capability, bridge, host) in [
        ("CHOWN", true, true),
        ("NET_BIND_SERVICE", true, true),
        ("SYS_NICE", true, true),
        ("NET_ADMIN", true, false),
        ("NET_RAW", true, false),
        ("SYS_ADMIN", false, false),
        ("SYS_MODULE", false, false),
        ("SYS_PTRACE", false, false),
        ("SYS_RAWIO", false, false),
        ("DAC_READ_SEARCH", false, false),
        ("BPF", false, false),
        ("ALL", false, false),
    ] {
        for (network, allowed) in [(Network::Bridge, bridge), (Network::Host, host)] {
            let state = adding(capability, network);
            assert_eq!(denial(text, &state).is_none(), allowed, "{capability}: {state:?}");
        }
    }
    assert_eq!(denial("", &adding("ALL", Network::Bridge)), None);
}

#[test]
fn a_container_is_denied_for_each_thing_that_it_may_not_have() {
    let state = container(|spec| {
        spec.image = "evil.example/app".parse().unwrap();
        spec.ports.push(PortMapping {
            host: 22,
            container: 22,
            protocol: TransportProtocol::Tcp,
            host_ip: None,
        });
        spec.devices.insert("/dev/sda".parse().unwrap());
    });
    let message = denial("registries = ['docker.io']\nkinds = ['File']", &state).unwrap();
    for told in
        ["be a Container", "run the image evil.example/app", "publish port 22", "use the device /dev/sda"]
    {
        assert!(message.contains(told), "{message}");
    }
    let shared = container(|spec| spec.network = Network::Host);
    assert!(denial("", &shared).unwrap().contains("use the host's network"));
}

#[test]
fn each_rule_is_shown_as_it_would_stand_in_the_file() {
    let given = rules(
        "users = ['app', '7']\npaths = ['/', '/srv']\nports = '80-90'\nkinds = ['Process']\nformats.Fake = 'Enabled'",
    );
    let file: String = given.lines().map(|(key, value)| format!("{key} = {value}\n")).collect();
    assert_eq!(rules(&file), given);
    assert_eq!(file.lines().count(), 14);
}

#[test]
fn what_is_misspelt_or_out_of_range_is_named_with_its_place() {
    for (text, told) in [
        ("rootEquivalant = true", "unknown field `rootEquivalant`"),
        ("kinds = ['Proces']", "did you mean \"Process\"?"),
        ("version = 2", "reads policies of version 1, and this one is of version 2"),
        ("paths = ['srv']", "it must be absolute"),
        ("paths = ['/srv/../etc']", "no . or .. component"),
        ("users = ['*', 'app']", "nothing can be listed beside it"),
        ("registries = ['example']", "is no registry"),
        ("ports = '0-80'", "is no range of ports"),
        ("ports = '90-80'", "is no range of ports"),
        ("shellJobs = 'On'", "expected one of `Disabled`, `AllowListed`, `Signed`"),
        ("scripts = ['sha256:1']", "sha256"),
        ("rootEquivalent = 'no'", "expected a boolean"),
    ] {
        let problem = toml::from_str::<Policy>(text).unwrap_err().to_string();
        assert!(problem.contains(told) && problem.contains("line 1"), "{text}: {problem}");
    }
}

#[test]
fn a_policy_that_others_could_write_or_replace_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("sub");
    let path = place.join("policy.toml");
    fs::create_dir(&place).unwrap();
    fs::write(&path, "rootEquivalent = false").unwrap();
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(&place, 0o755);
    set(&path, 0o644);
    assert!(!read(&path).unwrap().root_equivalent);
    for (at, mode, back) in [(&path, 0o664, 0o644), (&path, 0o646, 0o644), (&place, 0o777, 0o755)] {
        set(at, mode);
        let error = with_causes(&read(&path).unwrap_err());
        assert!(error.contains(&format!("{} has mode {mode:04o}", at.display())), "{error}");
        set(at, back);
    }
    // A link is as good as the file that it leads to and every folder on the way there.
    let [links, link, other] = ["links", "links/link.toml", "other"].map(|name| folder.path().join(name));
    fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink("../sub/../sub/policy.toml", &link).unwrap();
    std::os::unix::fs::symlink("links", &other).unwrap();
    let linked = other.join("link.toml");
    assert!(read(&linked).is_ok());
    for (at, mode, back) in [(&links, 0o777, 0o755), (&place, 0o777, 0o755), (&path, 0o666, 0o644)] {
        set(at, mode);
        let error = with_causes(&read(&linked).unwrap_err());
        assert!(error.contains(&format!("{} has mode {mode:04o}", at.display())), "{error}");
        set(at, back);
    }
    std::os::unix::fs::symlink("round.toml", links.join("round.toml")).unwrap();
    assert!(matches!(
        read(&links.join("round.toml")),
        Err(PolicyError::File(GuardedFileError::Unreadable { .. }))
    ));
}

#[test]
fn a_policy_of_another_user_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    fs::write(&path, "").unwrap();
    assert!(rustix::process::geteuid().is_root(), "giving a file away takes root");
    std::os::unix::fs::chown(&path, Some(4242), None).unwrap();
    let error = with_causes(&read(&path).unwrap_err());
    assert!(error.contains("belongs to user 4242") && error.contains("chown root"), "{error}");
}

#[test]
fn what_is_no_policy_is_told_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    assert!(matches!(read(&path), Err(PolicyError::File(GuardedFileError::Unreadable { .. }))));
    assert!(matches!(read(folder.path()), Err(PolicyError::File(GuardedFileError::Untrusted { .. }))));
    // Nobody waits for who might write into a pipe.
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(read(&pipe), Err(PolicyError::File(GuardedFileError::Untrusted { .. }))));
    for content in [&b"a = "[..], b"\xff\xfe", &vec![b'#'; MAX_POLICY_BYTES as usize + 1]] {
        fs::write(&path, content).unwrap();
        let error = with_causes(&read(&path).unwrap_err());
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}

proptest! {
    /// The platform has nothing but documents; whatever those ask for, a device with
    /// `rootEquivalent = false` and a list of paths writes nowhere else and runs nobody else.
    #[test]
    fn no_document_gets_more_than_the_rules_give(
        parts in proptest::collection::vec("[a-z.]{1,6}|etc|srv|app|own", 1..5),
        user in proptest::option::of("root|0|app|1000|ops|nobody|[0-9]{1,4}"),
        group in proptest::option::of("0|docker|unknown"),
    ) {
        let text = "rootEquivalent = false\npaths = ['/srv/app']\nusers = ['app', 'ops']";
        let path = format!("/{}", parts.join("/"));
        if path.parse::<agent_model::TargetPath>().is_ok() {
            let inside = path == "/srv/app" || path.starts_with("/srv/app/");
            prop_assert_eq!(denial(text, &file(&path)).is_none(), inside, "{}", path);
        }
        let rights = FakeAccounts.rights_of(
            user.as_deref().map(|user| user.parse().unwrap()).as_ref(),
            group.as_deref().map(|group| group.parse().unwrap()).as_ref(),
        );
        let harmless = rights.is_ok_and(|rights| rights.uid == 1000 && rights.groups.iter().all(|gid| *gid == 1000));
        prop_assert_eq!(denial(text, &process(user.as_deref(), group.as_deref())).is_none(), harmless);
    }
}

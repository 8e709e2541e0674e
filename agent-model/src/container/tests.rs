use proptest::{collection, option, prelude::*, sample};
use serde_json::{Value, json};

use super::*;
use crate::{
    Ask, UnknownKeys,
    reader::{Field, Findings},
    workload::strategies::{command, env, limits, log, millis, principal, probes},
};

fn read(value: &Value) -> (Option<ContainerSpec>, Vec<String>) {
    let mut findings = Findings::new(UnknownKeys::AreProblems);
    let spec = ContainerSpec::read(Field { value, pointer: String::new() }, &mut findings);
    (spec, findings.into_parts().0.iter().map(ToString::to_string).collect())
}

/// A valid spec with these fields beside its image.
fn with(fields: Value) -> Value {
    let mut spec = json!({"image": "app"});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    spec
}

fn problems(fields: Value) -> Vec<String> {
    read(&with(fields)).1
}

fn plain() -> ContainerSpec {
    ContainerSpec::new("app".parse().unwrap())
}

fn path(pattern: &'static str) -> impl Strategy<Value = TargetPath> {
    pattern.prop_map(|path| path.parse().unwrap())
}

/// Ports of the device that cannot conflict, since each is another one.
fn ports() -> impl Strategy<Value = Vec<PortMapping>> {
    let inside = (
        1..=u16::MAX,
        sample::select(TransportProtocol::ALL.to_vec()),
        option::of(any::<std::net::IpAddr>()),
    );
    collection::btree_map(1..=u16::MAX, inside, 0..4).prop_map(|ports| {
        let mapping =
            |(host, (container, protocol, host_ip))| PortMapping { host, container, protocol, host_ip };
        ports.into_iter().map(mapping).collect()
    })
}

fn mounts() -> impl Strategy<Value = Vec<Mount>> {
    let source = prop_oneof![
        path("(/[a-z]{1,8}){1,3}").prop_map(MountSource::Bind),
        "[A-Za-z0-9][A-Za-z0-9_.-]{0,12}".prop_map(|name| MountSource::Volume(name.parse().unwrap())),
        Just(MountSource::Tmpfs),
    ];
    collection::btree_map("/mnt(/[a-z]{1,8}){1,2}", (source, any::<bool>()), 0..4).prop_map(|mounts| {
        let mount = |(target, (source, read_only)): (String, _)| Mount {
            source,
            target: target.parse().unwrap(),
            read_only,
        };
        mounts.into_iter().map(mount).collect()
    })
}

/// Those to add, and those to drop, of which none is the same.
fn capabilities() -> impl Strategy<Value = (BTreeSet<Capability>, BTreeSet<Capability>)> {
    let name = sample::select(vec!["ALL", "CHOWN", "CAP_KILL", "NET_ADMIN", "SYS_ADMIN", "CAP_NET_RAW"]);
    collection::btree_map(name.prop_map(|name| name.parse().unwrap()), any::<bool>(), 0..5).prop_map(
        |chosen| {
            let these =
                |added| chosen.iter().filter(move |(_, it)| **it == added).map(|(capability, _)| *capability);
            (these(true).collect(), these(false).collect())
        },
    )
}

fn spec() -> impl Strategy<Value = ContainerSpec> {
    let image = "([a-z]{1,8}\\.io(:[1-9][0-9]{0,3})?/)?[a-z]{1,4}([._-][a-z0-9]{1,4}){0,2}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,8})?";
    let image = (image, sample::select(PullPolicy::ALL.to_vec()));
    let words = (prop_oneof![Just(Vec::new()), command()], collection::vec("[^\0]{0,12}", 0..4));
    let network = prop_oneof![Just("Bridge"), Just("Host"), Just("None"), Just("iot"), Just("my-net_1.0")];
    let outside =
        (ports(), mounts(), collection::btree_set(path("/dev(/[a-z0-9]{1,8}){1,2}"), 0..3), network);
    let user =
        (principal(), principal()).prop_map(|(user, group)| user.map(|user| ContainerUser { user, group }));
    let folder = option::of("/|(/[a-z ]{1,8}){1,3}".prop_map(|path| path.parse().unwrap()));
    let inside = (user, folder, any::<bool>(), capabilities());
    let restart = sample::select(RestartPolicy::ALL.to_vec());
    let stop = (option::of(sample::select(StopSignal::ALL.to_vec())), millis(0, 3_600_000));
    let labels = collection::btree_map("[a-z][!-<>-~]{0,12}", "[^\0]{0,12}", 0..3);
    (image, words, env(), outside, inside, restart, limits(), probes(), stop, (log(), labels)).prop_map(
        |(
            (image, pull_policy),
            (command, args),
            env,
            (ports, mounts, devices, network),
            (user, workdir, read_only_rootfs, (cap_add, cap_drop)),
            restart,
            limits,
            probes,
            (stop_signal, stop_timeout),
            (log, labels),
        )| {
            let network: Network = network.parse().unwrap();
            ContainerSpec {
                image: image.parse().unwrap(),
                pull_policy,
                command,
                args,
                env,
                ports: if network.publishes() { ports } else { Vec::new() },
                mounts,
                devices,
                network,
                restart,
                limits: Limits { open_files: None, ..limits },
                user,
                workdir,
                read_only_rootfs,
                cap_add,
                cap_drop,
                probes,
                stop_signal,
                stop_timeout,
                log,
                labels,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_reads_back(spec in spec()) {
        let (read, problems) = read(&json!(spec));
        prop_assert_eq!(problems, Vec::<String>::new());
        prop_assert_eq!(read, Some(spec.clone()));
        prop_assert_eq!(spec.problems(), vec![]);
    }

    #[test]
    fn the_order_of_ports_and_mounts_means_nothing(spec in spec()) {
        let mut reversed = spec.clone();
        reversed.ports.reverse();
        reversed.mounts.reverse();
        prop_assert_eq!(reversed.canonical(), spec.canonical());
    }
}

#[test]
fn what_is_left_out_has_its_default_and_is_not_written() {
    assert_eq!(read(&json!({"image": "app"})), (Some(plain()), vec![]));
    assert_eq!(json!(plain()), json!({"image": "app"}));
    let explicit = json!({
        "image": "app", "pullPolicy": "IfNotPresent", "command": [], "args": [], "env": {}, "ports": [], "mounts": [],
        "devices": [], "network": "Bridge", "restart": "Always", "limits": {}, "user": null, "workdir": null,
        "readOnlyRootfs": false, "capAdd": [], "capDrop": [], "probes": {}, "stopSignal": null, "stopTimeout": "10000ms",
        "log": {"maxSize": "10240Ki", "keep": 3}, "labels": {},
    });
    assert_eq!(read(&explicit), (Some(plain()), vec![]));
}

#[test]
fn all_problems_are_reported_at_once_with_their_places() {
    let spec = json!({
        "image": "App", "pullPolicy": "Allways", "command": [""], "args": [1], "env": {"A=B": "x"},
        "ports": [
            {"host": 0, "container": 65536, "protocol": "TCP", "hostIp": "localhost"},
            {"host": 80, "container": 80, "hostIp": "127.0.0.1"}, {"host": 80, "container": 81}, {"hostport": 1},
        ],
        "mounts": [
            {"type": "Bind", "source": "data", "target": "/proc/x"},
            {"type": "Bind", "source": "/srv/../etc", "target": "/"},
            {"type": "Volume", "source": "/data", "target": "/a"},
            {"type": "Tmpfs", "source": "/tmp", "target": "/a", "readonly": true},
            {"type": "Tmpfs", "target": "/a"}, {"type": "bind"}, {},
        ],
        "devices": ["/etc/passwd", "/dev", "tty"], "network": "host", "restart": "always",
        "limits": {"memory": "1", "openFiles": 1024}, "user": "a b", "workdir": "app", "readOnlyRootfs": "yes",
        "capAdd": ["NET_ADMN"], "capDrop": ["all"], "probes": {"readiness": {}}, "stopSignal": "SIGFOO", "stopTimeout": "2h",
        "log": {"keep": -1}, "labels": {"io.harmony.agent": "x", "a=b": "x", "n": 1}, "privileged": true,
    });
    let (read, problems) = read(&spec);
    assert_eq!(read, None);
    let expected = [
        "/image: \"App\" is no image reference: a name has no upper case; write it like \"registry.example.com/app:1.2\"",
        "/pullPolicy: \"Allways\" is no pull policy; did you mean \"Always\"?",
        "/command: its first word is empty: name the program",
        "/args/0: expected a string, found a number: put it in quotes, as the program is to see it",
        "/env/A=B: \"A=B\" is not the name of a variable: use 1 to 255 characters without = and NUL",
        "/ports/0/host: 0 is not a whole number from 1 to 65535",
        "/ports/0/container: 65536 is not a whole number from 1 to 65535",
        "/ports/0/protocol: \"TCP\" is no protocol; did you mean \"Tcp\"?",
        "/ports/0/hostIp: \"localhost\" is no address: use one of IPv4 or IPv6, like \"127.0.0.1\"",
        "/ports/2/host: the device's port 80/Tcp is already taken at /ports/1",
        "/ports/3: \"host\" is missing",
        "/ports/3: \"container\" is missing",
        "/ports/3/hostport: unknown key \"hostport\"; valid here: host, container, protocol, hostIp",
        "/mounts/0/source: \"data\" is not a usable path: it must be absolute",
        "/mounts/0/target: \"/proc/x\" is where the runtime itself puts something; choose another place",
        "/mounts/1/source: \"/srv/../etc\" is not a usable path: it must have no . or .. component",
        "/mounts/1/target: \"/\" is not a usable path: it must name something below /",
        "/mounts/2/source: \"/data\" is no name of a volume: use 1 to 64 of a-z, A-Z, 0-9, _, . and -, beginning with a letter or digit",
        "/mounts/3/source: a Tmpfs is memory and has no source; leave it out",
        "/mounts/3/readonly: unknown key \"readonly\"; did you mean \"readOnly\"?",
        "/mounts/4/target: /a is already the target of /mounts/3",
        "/mounts/5/type: \"bind\" is no type of mount; did you mean \"Bind\"?",
        "/mounts/5: \"target\" is missing",
        "/mounts/6: \"type\" is missing",
        "/mounts/6: \"target\" is missing",
        "/devices/0: \"/etc/passwd\" is no device: give a path below /dev",
        "/devices/1: \"/dev\" is no device: give a path below /dev",
        "/devices/2: \"tty\" is not a usable path: it must be absolute",
        "/network: \"host\" is no network: did you mean \"Host\"?",
        "/restart: \"always\" is no restart policy; did you mean \"Always\"?",
        "/limits/memory: \"1\" is too little: give at least 1Mi",
        "/limits/openFiles: unknown key \"openFiles\"; valid here: memory, cpus, pids",
        "/user: \"a b\" is no user of a container: write it like \"app\", \"1000\" or \"1000:1000\"",
        "/workdir: \"app\" is not a usable path: it must be absolute",
        "/readOnlyRootfs: expected true or false, found a string",
        "/capAdd/0: \"NET_ADMN\" is no capability; did you mean \"NET_ADMIN\"?",
        "/capDrop/0: \"all\" is no capability; did you mean \"ALL\"?",
        "/probes/readiness: one of \"exec\", \"http\" and \"tcp\" is missing",
        "/stopSignal: \"SIGFOO\" is no signal to stop with: use one of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGKILL, SIGUSR1, SIGUSR2, SIGWINCH",
        "/stopTimeout: \"2h\" is too much: give at most 1h",
        "/log/keep: -1 is not a whole number from 0 to 100",
        "/labels/a=b: \"a=b\" is no key of a label: use 1 to 255 visible ASCII characters without =",
        "/labels/io.harmony.agent: labels of the form io.harmony.… are the agent's own; choose another key",
        "/labels/n: expected a string, found a number: put it in quotes",
        "/privileged: unknown key \"privileged\"; valid here: image, pullPolicy, command, args, env, ports, mounts, devices, network, restart, limits, user, workdir, readOnlyRootfs, capAdd, capDrop, probes, stopSignal, stopTimeout, log, labels",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn a_container_that_nothing_leads_into_publishes_no_ports() {
    let ports = json!([{"host": 8080, "container": 80}]);
    for network in ["Bridge", "iot"] {
        assert_eq!(problems(json!({"network": network, "ports": ports})), Vec::<String>::new());
    }
    for (network, told) in [("Host", "is reached at its own ports"), ("None", "cannot be reached")] {
        let problems = problems(json!({"network": network, "ports": ports}));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("/ports: ") && problems[0].contains(told), "{problems:?}");
    }
}

#[test]
fn a_capability_is_added_or_dropped_and_not_both() {
    assert_eq!(problems(json!({"capAdd": ["NET_ADMIN"], "capDrop": ["ALL"]})), Vec::<String>::new());
    assert_eq!(
        problems(json!({"capAdd": ["NET_RAW", "CAP_CHOWN"], "capDrop": ["CAP_NET_RAW"]})),
        ["/capDrop: \"NET_RAW\" is also in capAdd; keep it in one of them"]
    );
}

#[test]
fn arguments_without_a_command_are_handed_to_that_of_the_image() {
    let (spec, problems) = read(&with(json!({"args": ["", "-v"]})));
    assert_eq!((spec.unwrap().args, problems), (vec![String::new(), "-v".into()], vec![]));
    let many = json!({"args": vec!["a"; 1025]});
    assert_eq!(self::problems(many), ["/args: 1025 words are more than the 1024 that a command may have"]);
}

#[test]
fn command_arguments_and_environment_fit_together_into_what_a_program_can_be_started_with() {
    // "app", "x" and "V" with what closes or joins them take 4, 2 and 3 bytes.
    let value = "x".repeat((128 << 10) - 9);
    let fits = json!({"command": ["app"], "args": ["x"], "env": {"V": value}});
    assert_eq!(problems(fits), Vec::<String>::new());
    let problem = "with the environment it has 131073 bytes, more than the 131072 that a program can be started with; \
                   put them in a file";
    let too_long = json!({"command": ["app"], "args": ["xx"], "env": {"V": value}});
    assert_eq!(problems(too_long), [format!("/args: {problem}")]);
    let too_long = json!({"command": ["app", "xx"], "env": {"V": value}});
    assert_eq!(problems(too_long), [format!("/command: {problem}")]);
}

#[test]
fn labels_are_bounded() {
    let labels =
        |count: usize| (0..count).map(|i| (format!("l{i}"), json!(""))).collect::<serde_json::Map<_, _>>();
    assert_eq!(problems(json!({"labels": labels(64)})), Vec::<String>::new());
    assert_eq!(problems(json!({"labels": labels(65)})).len(), 1);
    for (labels, told) in [
        (json!({"a": "x".repeat(4097)}), "longer than 4096 bytes"),
        (json!({"a": "\0"}), "NUL"),
        (json!({"": "x"}), "no key of a label"),
        (json!({"a\nb": "x"}), "no key of a label"),
        (json!({"a": null}), "found null"),
        (json!({"x".repeat(256): "x"}), "no key of a label"),
        (json!({"io.harmony.": "x"}), "the agent's own"),
    ] {
        let problems = problems(json!({"labels": labels}));
        assert!(problems.len() == 1 && problems[0].contains(told), "{problems:?}");
    }
    assert_eq!(
        problems(json!({"labels": {"io.harmonious": "x", "a": "x".repeat(4096)}})),
        Vec::<String>::new()
    );
}

#[test]
fn no_value_of_the_environment_shows_in_debug_output_or_in_what_documents_differ_in() {
    let (spec, problems) = read(&with(json!({"env": {"TOKEN": "hunter2"}})));
    let shown = format!("{spec:?} {problems:?} {}", spec.as_ref().unwrap().canonical());
    assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn all_that_reaches_the_device_is_asked_for() {
    let (spec, problems) = read(&json!({
        "image": "app:1", "ports": [{"host": 80, "container": 8080}], "devices": ["/dev/ttyUSB0"], "capAdd": ["NET_ADMIN"],
        "mounts": [
            {"type": "Bind", "source": "/srv/a", "target": "/a"},
            {"type": "Bind", "source": "/srv/b", "target": "/b", "readOnly": true},
            {"type": "Volume", "source": "c", "target": "/c"}, {"type": "Tmpfs", "target": "/d"},
        ],
    }));
    assert_eq!(problems, Vec::<String>::new());
    let spec = spec.unwrap();
    let asks: Vec<String> = spec.asks().iter().map(ToString::to_string).collect();
    let expected = [
        "run the image app:1",
        "publish port 80",
        "mount /srv/a",
        "mount /srv/b to read it",
        "use the device /dev/ttyUSB0",
        "add the capability NET_ADMIN",
    ];
    assert_eq!(asks, expected);
    let host = ContainerSpec { network: Network::Host, ports: Vec::new(), ..spec };
    let asks = host.asks();
    assert!(asks.contains(&Ask::UseHostNetwork));
    let shared = Ask::AddCapability { capability: "NET_ADMIN".parse().unwrap(), host_network: true };
    assert!(asks.contains(&shared), "{asks:?}");
}

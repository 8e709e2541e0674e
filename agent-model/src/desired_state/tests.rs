use proptest::prelude::*;

use super::*;
use crate::{
    ContainerSpec, Environment, FileSpec, HttpScheme, Limits, LogBounds, Mount, MountSource, PortMapping,
    Principal, Probe, ProbeAction, Probes, ProcessSpec, PullPolicy, RestartPolicy, ShellJobSpec, StopSignal,
    SystemdUnitSpec, TransportProtocol, UnitState,
};

fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

fn file(path: &str, content: &str) -> FileSpec {
    FileSpec::new(path.parse().unwrap(), content)
}

fn declaration(i: usize, resource: &str, path: &str, depends_on: &[&str]) -> Declaration {
    Declaration {
        claim_pointer: format!("/spec/resources/{i}/spec/path"),
        depends_on: depends_on.iter().copied().map(name).collect(),
        ..Declaration::new(&format!("/spec/resources/{i}"), name(resource), file(path, "x"))
    }
}

fn build(declarations: Vec<Declaration>) -> Result<DesiredState, Vec<String>> {
    let mut builder = DesiredStateBuilder::default();
    declarations.into_iter().for_each(|declaration| builder.declare(declaration));
    builder.finish().map_err(|invalid| invalid.problems.iter().map(ToString::to_string).collect())
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let problems = build(vec![
        declaration(0, "a", "/x/a", &["b"]),
        declaration(1, "b", "/x/b", &["a", "c1"]),
        declaration(2, "c", "/x/a", &["c"]),
        declaration(3, "c", "/x/a/below", &[]),
    ])
    .unwrap_err();
    assert_eq!(
        problems,
        [
            "/spec/resources/3/name: \"c\" is already the name of /spec/resources/2",
            "/spec/resources/1/dependsOn/1: no resource is named \"c1\"; did you mean \"c\"?",
            "/spec/resources/2/dependsOn/0: a resource cannot name itself",
            "/spec/resources/0/dependsOn: these wait for one another for ever: a -> b -> a",
            "/spec/resources/2/spec/path: conflicts with \"a\": both claim the same path",
            "/spec/resources/3/spec/path: conflicts with \"a\": one path lies below the other, which is a regular file",
        ]
    );
}

#[test]
fn what_runs_waits_for_those_whose_change_restarts_it_and_what_does_not_run_does_not() {
    let restarted = |resource: &str, spec: ResourceSpec, restart_on: &[&str]| Declaration {
        restart_on: restart_on.iter().copied().map(name).collect(),
        ..Declaration::new(&format!("/{resource}"), name(resource), spec)
    };
    let process = || ProcessSpec::new(vec!["serve".to_owned()]).into();
    let state = build(vec![
        restarted("config", file("/config", "x").into(), &["web"]),
        restarted("web", process(), &["config"]),
    ])
    .unwrap();
    let waits_for = |resource: &str| {
        let resource = state.get(&name(resource)).unwrap();
        resource.waits_for().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!((waits_for("config"), waits_for("web")), (vec![], vec!["config".to_owned()]));
    let problems =
        build(vec![restarted("a", process(), &["b"]), restarted("b", process(), &["a"])]).unwrap_err();
    assert_eq!(problems, ["/a/restartOn: these wait for one another for ever: a -> b -> a"]);
}

#[test]
fn a_claim_conflicts_with_one_further_below_whatever_sorts_between() {
    let problems = build(vec![
        declaration(0, "deep", "/x/y/z", &[]),
        declaration(1, "between", "/x!", &[]),
        declaration(2, "top", "/x", &[]),
    ])
    .unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("/spec/resources/2/spec/path"), "{problems:?}");
}

#[test]
fn a_document_may_have_1024_resources_and_not_one_more() {
    let many = |n: usize| (0..n).map(|i| declaration(i, &format!("r{i}"), &format!("/x/{i}"), &[])).collect();
    assert!(build(many(MAX_RESOURCES)).is_ok());
    assert_eq!(build(many(MAX_RESOURCES + 1)).unwrap_err().len(), 1);
}

#[test]
fn no_path_is_one_of_the_agents_own_temporary_files() {
    let temporary = format!("/etc/{}", "/etc/a".parse::<crate::TargetPath>().unwrap().temporary_name());
    let problems = build(vec![declaration(0, "a", &temporary, &[])]).unwrap_err();
    assert!(problems[0].starts_with("/spec/resources/0/spec/path: names of the form"), "{problems:?}");
}

#[test]
fn a_flood_of_unknown_names_is_reported_up_to_a_bound() {
    let flood = (0..200).map(|i| Declaration {
        depends_on: (0..50).map(|j| name(&format!("unknown-{j}"))).collect(),
        ..declaration(i, &format!("r{i}"), &format!("/x/{i}"), &[])
    });
    let problems = build(flood.collect()).unwrap_err();
    assert_eq!(problems.len(), MAX_UNKNOWN_NAMES);
}

#[test]
fn a_chain_of_1024_dependencies_is_no_cycle_and_does_not_exhaust_the_stack() {
    let chain = (0..MAX_RESOURCES)
        .map(|i| {
            let next = format!("r{}", i + 1);
            let depends_on: &[&str] = if i + 1 < MAX_RESOURCES { &[&next] } else { &[] };
            declaration(i, &format!("r{i}"), &format!("/x/{i}"), depends_on)
        })
        .collect();
    assert!(build(chain).is_ok());
}

/// These digests are what running workloads carry. A change here restarts fleets: never update
/// them, make the new field's default invisible instead.
#[test]
fn golden_digests_do_not_change() {
    let plain = Resource::new(name("a"), file("/etc/app.conf", "port = 80\n").into());
    assert_eq!(
        plain.spec_digest().to_string(),
        "sha256:032dd321b77cddf065eb1ebf2882c0918f0fdd0397003d1ffca42760c5ab915a"
    );
    let full = Resource::new(
        name("b"),
        ResourceSpec::from(FileSpec {
            mode: "4750".parse().unwrap(),
            owner: Some(Principal::Name("app".into())),
            group: Some(Principal::Id(7)),
            ..file("/etc/app.conf", "port = 80\n")
        }),
    );
    assert_eq!(
        full.spec_digest().to_string(),
        "sha256:fd73bd199e39970ed7b487d57945ea37c1845f789223ada92bfd4f59e3b356fa"
    );
    let mut restarts = declaration(1, "b", "/x/b", &[]);
    restarts.restart_on = vec![name("a")];
    let state = build(vec![declaration(0, "a", "/x/a", &[]), restarts]).unwrap();
    assert_eq!(
        state.effective_digest(&state.resources()[1]).to_string(),
        "sha256:08d1e4f699383bdc508dbc2f0a135762782f352f3f289e04680571e8b4295fcf"
    );
    assert_eq!(
        state.digest().to_string(),
        "sha256:f7b8272ba4502c747997985a13feafa455245663be089bcb3475ec4a6d2ed382"
    );
}

/// As [`golden_digests_do_not_change`]: never update these either.
#[test]
fn golden_digests_of_processes_do_not_change() {
    let digest = |spec: ProcessSpec| Resource::new(name("a"), spec.into()).spec_digest().to_string();
    let plain = ProcessSpec::new(vec!["/bin/app".into(), "--serve".into()]);
    assert_eq!(digest(plain), "sha256:e10a012b8a1819e2b272a258e981a8936445bf4f9475fe86c0baa0abb8e79b03");
    assert_eq!(
        digest(full_process()),
        "sha256:b894ab136d53f08225080c7ab4c8dda68ca49e602a0401d0efbccdcb4fca263e"
    );
}

/// As [`golden_digests_do_not_change`]: never update these either.
#[test]
fn golden_digests_of_units_do_not_change() {
    let digest = |spec: SystemdUnitSpec| Resource::new(name("a"), spec.into()).spec_digest().to_string();
    let plain = SystemdUnitSpec::new("app.service".parse().unwrap());
    assert_eq!(
        digest(plain.clone()),
        "sha256:1a9a12185fda16b642b150ae3820e0a7cb64a5b8af0f9dee6840f45602e92cc7"
    );
    let full = SystemdUnitSpec {
        content: Some("[Service]\nExecStart=/bin/app\n".parse().unwrap()),
        drop_ins: [("10-limits.conf".parse().unwrap(), "[Service]\nMemoryMax=64M\n".parse().unwrap())].into(),
        enabled: Some(true),
        state: UnitState::Stopped,
        ..plain
    };
    assert_eq!(digest(full), "sha256:f24b28fea604e32b5692f8c9e6f9d70576f69fe950fe4b97fec4e7eaf72a9b87");
}

#[test]
fn a_file_that_is_a_units_own_or_in_its_way_conflicts_with_it() {
    let unit = |i: usize, resource: &str, unit: &str| Declaration {
        claim_pointer: format!("/spec/resources/{i}/spec/unit"),
        ..Declaration::new(
            &format!("/spec/resources/{i}"),
            name(resource),
            SystemdUnitSpec::new(unit.parse().unwrap()),
        )
    };
    for path in [
        "/etc/systemd/system/a.service",
        "/etc/systemd/system/a.service.d/x.conf",
        "/etc/systemd/system/a.service.d",
        "/etc/systemd",
    ] {
        let problems = build(vec![unit(0, "u", "a.service"), declaration(1, "f", path, &[])]).unwrap_err();
        assert_eq!(problems.len(), 1, "{path}: {problems:?}");
        assert!(
            problems[0].starts_with("/spec/resources/1/spec/path: conflicts with \"u\": "),
            "{problems:?}"
        );
        let problems = build(vec![declaration(0, "f", path, &[]), unit(1, "u", "a.service")]).unwrap_err();
        assert!(
            problems[0].starts_with("/spec/resources/1/spec/unit: conflicts with \"f\": "),
            "{problems:?}"
        );
    }
    for path in [
        "/etc/systemd/system/b.service",
        "/etc/systemd/system/a.wants/a.service",
        "/usr/lib/systemd/system/a.service",
    ] {
        assert!(build(vec![unit(0, "u", "a.service"), declaration(1, "f", path, &[])]).is_ok(), "{path}");
    }
    let problems = build(vec![unit(0, "u", "a.service"), unit(1, "v", "a.service")]).unwrap_err();
    assert_eq!(problems, ["/spec/resources/1/spec/unit: conflicts with \"u\": both claim the same unit"]);
}

/// A process with nothing at its default.
fn full_process() -> ProcessSpec {
    let seconds = std::time::Duration::from_secs;
    let probe = |action| Probe {
        action,
        interval: seconds(30),
        timeout: std::time::Duration::from_millis(1500),
        failure_threshold: 5,
        start_period: seconds(3600),
    };
    let mut env = Environment::default();
    env.set("TOKEN", "hunter2").unwrap();
    ProcessSpec {
        command: vec!["/bin/app".into()],
        env,
        workdir: Some("/var/lib/app".parse().unwrap()),
        user: Some(Principal::Name("app".into())),
        group: Some(Principal::Id(7)),
        restart: RestartPolicy::OnFailure,
        limits: Limits {
            memory: Some(64 << 20),
            cpu_millis: Some(1500),
            pids: Some(100),
            open_files: Some(1024),
        },
        probes: Probes {
            startup: Some(probe(ProbeAction::Exec { command: vec!["/bin/true".into()] })),
            readiness: Some(probe(ProbeAction::Http {
                port: 8080,
                path: "/ready".into(),
                scheme: HttpScheme::Https,
            })),
            liveness: Some(probe(ProbeAction::Tcp { port: 8080 })),
        },
        stop_signal: StopSignal::Int,
        stop_timeout: seconds(90),
        log: LogBounds { max_size: 1 << 20, keep: 0 },
    }
}

/// As [`golden_digests_do_not_change`]: never update these either.
#[test]
fn golden_digests_of_containers_do_not_change() {
    let digest = |spec: ContainerSpec| Resource::new(name("a"), spec.into()).spec_digest().to_string();
    let plain = ContainerSpec::new("registry.example.com/app:1.2".parse().unwrap());
    assert_eq!(digest(plain), "sha256:af762bc550bddf190dc4c9faa2a4b8df76831e11fe5994ca525304d870c2ffc7");
    assert_eq!(
        digest(full_container()),
        "sha256:5f30c104c1b86341aa624bef621957de9e33248d152cf59a3b9b00f7a38ef851"
    );
}

/// A container with nothing at its default.
fn full_container() -> ContainerSpec {
    let ProcessSpec { env, restart, limits, probes, stop_timeout, log, .. } = full_process();
    let mount =
        |source, target: &str, read_only| Mount { source, target: target.parse().unwrap(), read_only };
    let port = |host, protocol, ip: Option<&str>| PortMapping {
        host,
        container: 80,
        protocol,
        host_ip: ip.map(|ip| ip.parse().unwrap()),
    };
    ContainerSpec {
        image: "registry.example.com:5000/team/app:1.2".parse().unwrap(),
        pull_policy: PullPolicy::Always,
        command: vec!["/bin/app".into()],
        args: vec!["--serve".into(), String::new()],
        env,
        ports: vec![port(8080, TransportProtocol::Tcp, None), port(53, TransportProtocol::Udp, Some("::1"))],
        mounts: vec![
            mount(MountSource::Bind("/etc/app".parse().unwrap()), "/etc/app", true),
            mount(MountSource::Volume("data".parse().unwrap()), "/data", false),
            mount(MountSource::Tmpfs, "/tmp", false),
        ],
        devices: ["/dev/ttyUSB0".parse().unwrap()].into(),
        network: "iot".parse().unwrap(),
        restart,
        limits: Limits { open_files: None, ..limits },
        user: Some("app:7".parse().unwrap()),
        workdir: Some("/".parse().unwrap()),
        read_only_rootfs: true,
        cap_add: ["NET_ADMIN".parse().unwrap()].into(),
        cap_drop: ["ALL".parse().unwrap()].into(),
        probes,
        stop_signal: Some(StopSignal::Term),
        stop_timeout,
        log,
        labels: [("site".to_owned(), "north".to_owned())].into(),
    }
}

/// As [`golden_digests_do_not_change`]: never update these either. With another digest each job of a fleet would
/// run once more.
#[test]
fn golden_digests_of_jobs_do_not_change() {
    let digest = |spec: ShellJobSpec| Resource::new(name("a"), spec.into()).spec_digest().to_string();
    assert_eq!(
        digest(ShellJobSpec::new("echo once")),
        "sha256:78d25ed54d9e103ad77ba9e252dbc9727cf78f1b74e3346ba97e92317409007f"
    );
    assert_eq!(digest(full_job()), "sha256:0322af37e90c978a752b09e2552413d1d05d1d09bcf7cdefeb8af708a91fc6cd");
}

/// A job with nothing at its default.
fn full_job() -> ShellJobSpec {
    let mut env = Environment::default();
    env.set("TOKEN", "hunter2").unwrap();
    ShellJobSpec {
        script: "echo \"$TOKEN\"\n".into(),
        interpreter: vec!["/bin/bash".into(), "-e".into()],
        run_id: "2".into(),
        unless: Some("test -e /opt/app/done".into()),
        creates: Some("/opt/app/made".parse().unwrap()),
        timeout: std::time::Duration::from_secs(90),
        retry: 3,
        env,
        user: Some(Principal::Name("app".into())),
        network: true,
        writable_paths: vec!["/opt/app".parse().unwrap()],
        limits: Limits {
            memory: Some(64 << 20),
            cpu_millis: Some(1500),
            pids: Some(100),
            open_files: Some(1024),
        },
    }
}

#[test]
fn two_resources_cannot_publish_the_same_port() {
    let container = |i: usize, resource: &str, ports: &[(u16, &str)], spec_pointer: bool| {
        let mut spec = ContainerSpec::new("app".parse().unwrap());
        spec.ports.extend(ports.iter().map(|(host, ip)| PortMapping {
            host: *host,
            container: 80,
            protocol: TransportProtocol::Tcp,
            host_ip: (!ip.is_empty()).then(|| ip.parse().unwrap()),
        }));
        let pointer = format!("/spec/resources/{i}");
        let spec_pointer = spec_pointer.then(|| format!("{pointer}/spec"));
        Declaration { spec_pointer, ..Declaration::new(&pointer, name(resource), spec) }
    };
    let problems = build(vec![
        container(0, "a", &[(80, "127.0.0.1"), (443, "")], true),
        container(1, "b", &[(8080, ""), (443, "::1")], true),
        container(2, "c", &[(80, "10.0.0.1")], true),
        container(3, "d", &[(80, "0.0.0.0")], false),
    ])
    .unwrap_err();
    assert_eq!(
        problems,
        [
            "/spec/resources/1/spec/ports/1/host: conflicts with \"a\": both publish the device's port [::1]:443/Tcp",
            "/spec/resources/3: conflicts with \"c\": both publish the device's port 0.0.0.0:80/Tcp",
        ]
    );
}

#[test]
fn what_a_job_names_in_restart_on_does_not_make_it_run_again() {
    let with = |content: &str| {
        let job = Declaration {
            restart_on: vec![name("config")],
            ..Declaration::new("/job", name("job"), ShellJobSpec::new("true"))
        };
        let config = Declaration::new("/config", name("config"), file("/x", content));
        let state = build(vec![config, job]).unwrap();
        state.effective_digest(state.get(&name("job")).unwrap())
    };
    assert_eq!(with("1"), with("2"));
}

#[test]
fn renaming_changes_no_effective_digest_and_a_cause_does() {
    let with = |cause_name: &str, cause_path: &str| {
        let mut dependent = declaration(1, "b", "/x/b", &[]);
        dependent.restart_on = vec![name(cause_name)];
        let state = build(vec![declaration(0, cause_name, cause_path, &[]), dependent]).unwrap();
        state.effective_digest(&state.resources()[1])
    };
    assert_eq!(with("a", "/x/a"), with("z", "/x/a"));
    assert_ne!(with("a", "/x/a"), with("a", "/x/c"));
}

#[test]
fn a_deadline_counts_in_the_digest_of_the_whole_and_in_that_of_no_resource() {
    let with = |deadline: Option<Duration>| {
        let mut builder = DesiredStateBuilder::default();
        builder.declare(declaration(0, "a", "/x/a", &[]));
        deadline.into_iter().for_each(|deadline| builder.roll_back_after(deadline));
        builder.finish().unwrap()
    };
    let (never, soon, late) =
        (with(None), with(Some(Duration::from_secs(60))), with(Some(Duration::from_secs(61))));
    assert_eq!(never.digest(), build(vec![declaration(0, "a", "/x/a", &[])]).unwrap().digest());
    assert_ne!(never.digest(), soon.digest());
    assert_ne!(soon.digest(), late.digest());
    assert_eq!(never.effective_digest(&never.resources()[0]), soon.effective_digest(&soon.resources()[0]));
    assert_eq!(soon.rollback_deadline(), Some(Duration::from_secs(60)));
}

proptest! {
    #[test]
    fn order_of_declaration_changes_no_digest(order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle()) {
        let all: Vec<Declaration> =
            (0..8).map(|i| declaration(i, &format!("r{i}"), &format!("/x/{i}"), if i > 0 { &["r0"] } else { &[] })).collect();
        let shuffled = order.iter().map(|i| all[*i].clone()).collect();
        prop_assert_eq!(build(all).unwrap().digest(), build(shuffled).unwrap().digest());
    }
}

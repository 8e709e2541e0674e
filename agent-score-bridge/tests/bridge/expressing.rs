//! What is expressed as Scores is lowered to the very same again.

use std::time::Duration;

use agent_model::{
    ContainerSpec, Declaration, DesiredState, DesiredStateBuilder, Environment, FileSpec, Limits, Mode,
    Mount, MountSource, Principal, Probe, ProbeAction, Probes, ProcessSpec, ResourceName, ResourceSpec,
    RestartPolicy, ShellJobSpec, StopSignal, SystemdUnitSpec, UnitState,
};
use agent_score_bridge::express;
use proptest::{collection, option, prelude::*, sample};
use serde_json::json;

use super::lower;

fn principal() -> impl Strategy<Value = Option<Principal>> {
    option::of(prop_oneof![
        (0..u32::MAX).prop_map(Principal::Id),
        "[a-z_][a-z0-9_-]{0,30}".prop_map(Principal::Name)
    ])
}

fn file_spec() -> impl Strategy<Value = FileSpec> {
    let content = prop_oneof![collection::vec(any::<u8>(), 0..64), ".{0,64}".prop_map(String::into_bytes)];
    ("(/[a-zä .]{1,8}[a-z]){1,3}", content, 0..=0o7777_u32, principal(), principal()).prop_map(
        |(path, content, mode, owner, group)| FileSpec {
            path: path.parse().unwrap(),
            content: content.into(),
            mode: Mode::from_bits(mode),
            owner,
            group,
        },
    )
}

fn process_spec() -> impl Strategy<Value = ProcessSpec> {
    let command = collection::vec("[^\0]{1,8}", 1..4);
    let env = collection::btree_map("[^\0=]{1,8}", "[^\0]{0,8}", 0..3).prop_map(|variables| {
        let mut env = Environment::default();
        variables.iter().for_each(|(name, value)| env.set(name, value).unwrap());
        env
    });
    let limits = (option::of((1 << 20)..1_u64 << 40), option::of(10..9999_u64), option::of(16..9999_u64))
        .prop_map(|(memory, cpu_millis, open_files)| Limits { memory, cpu_millis, pids: None, open_files });
    let probe = option::of((1..=u16::MAX, 100..600_000_u64).prop_map(|(port, interval)| Probe {
        interval: Duration::from_millis(interval),
        ..Probe::new(ProbeAction::Tcp { port })
    }));
    let restart = sample::select(RestartPolicy::ALL.to_vec());
    let stop = (sample::select(StopSignal::ALL.to_vec()), 0..3_600_000_u64);
    (command, env, principal(), restart, limits, probe, stop).prop_map(
        |(command, env, user, restart, limits, liveness, (stop_signal, stop_timeout))| ProcessSpec {
            env,
            user,
            restart,
            limits,
            probes: Probes { liveness, ..Probes::default() },
            stop_signal,
            stop_timeout: Duration::from_millis(stop_timeout),
            ..ProcessSpec::new(command)
        },
    )
}

fn container_spec() -> impl Strategy<Value = ContainerSpec> {
    let image = "[a-z]{1,8}(:[a-z0-9]{1,4})?".prop_map(|image| image.parse().unwrap());
    let mounts = collection::btree_map("/mnt/[a-z]{1,4}", any::<bool>(), 0..3).prop_map(|mounts| {
        let mount = |(target, read_only): (String, _)| Mount {
            source: MountSource::Bind("/srv".parse().unwrap()),
            target: target.parse().unwrap(),
            read_only,
        };
        mounts.into_iter().map(mount).collect()
    });
    let network =
        sample::select(vec!["Bridge", "Host", "None", "iot"]).prop_map(|network| network.parse().unwrap());
    (image, process_spec(), mounts, network, any::<bool>()).prop_map(
        |(image, process, mounts, network, read_only_rootfs)| ContainerSpec {
            command: process.command,
            env: process.env,
            mounts,
            network,
            restart: process.restart,
            limits: Limits { open_files: None, ..process.limits },
            read_only_rootfs,
            probes: process.probes,
            stop_signal: Some(process.stop_signal),
            stop_timeout: process.stop_timeout,
            ..ContainerSpec::new(image)
        },
    )
}

fn unit_spec() -> impl Strategy<Value = SystemdUnitSpec> {
    let text = || "[^\0]{0,9}[a-z]\n".prop_map(|text| text.parse().unwrap());
    let drop_ins = collection::btree_map("[a-z]{1,5}[.]conf", text(), 0..3).prop_map(|drop_ins| {
        drop_ins.into_iter().map(|(name, text)| (name.parse().unwrap(), text)).collect()
    });
    let state = sample::select(UnitState::ALL.to_vec());
    (option::of(text()), drop_ins, option::of(any::<bool>()), state).prop_map(
        |(content, drop_ins, enabled, state)| SystemdUnitSpec {
            content,
            drop_ins,
            enabled,
            state,
            ..SystemdUnitSpec::new("a.service".parse().unwrap())
        },
    )
}

fn job_spec() -> impl Strategy<Value = ShellJobSpec> {
    let script = || "[^\0]{0,9}[a-z]\n";
    let run_id = "[^\\p{Cc}]{0,9}";
    let paths = collection::btree_set("/[a-z]{1,4}", 0..3)
        .prop_map(|paths| paths.iter().map(|path| path.parse().unwrap()).collect());
    let creates = option::of("/[a-z]{1,4}".prop_map(|path| path.parse().unwrap()));
    let bounds = (1..=86_400_u64, 0..=100_u64);
    let of_process = process_spec();
    (script(), option::of(script()), run_id, paths, creates, any::<bool>(), bounds, of_process).prop_map(
        |(script, unless, run_id, writable_paths, creates, network, (timeout, retry), process)| {
            ShellJobSpec {
                interpreter: process.command,
                run_id,
                unless,
                creates,
                timeout: Duration::from_secs(timeout),
                retry,
                env: process.env,
                user: process.user,
                network,
                writable_paths,
                limits: process.limits,
                ..ShellJobSpec::new(script)
            }
        },
    )
}

/// States of all kinds that wait only for earlier ones, some for one of them twice.
pub(super) fn state() -> impl Strategy<Value = DesiredState> {
    let name = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?";
    let earlier = || collection::vec(any::<sample::Index>(), 0..4);
    let is_chained = any::<bool>();
    let spec = prop_oneof![
        2 => file_spec().prop_map(ResourceSpec::from),
        1 => container_spec().prop_map(ResourceSpec::from),
        1 => process_spec().prop_map(ResourceSpec::from),
        1 => unit_spec().prop_map(ResourceSpec::from),
        1 => job_spec().prop_map(ResourceSpec::from),
    ];
    let resource = (spec, earlier(), earlier(), is_chained);
    let resources = collection::btree_map(name, resource, 0..10).prop_map(Vec::from_iter).prop_shuffle();
    let deadline = option::of((1000..=86_400_000_u64).prop_map(Duration::from_millis));
    (deadline, resources).prop_map(|(deadline, resources)| {
        let mut builder = DesiredStateBuilder::default();
        deadline.into_iter().for_each(|deadline| builder.roll_back_after(deadline));
        let mut names: Vec<ResourceName> = Vec::new();
        for (i, (name, (mut spec, depends_on, restart_on, is_chained))) in resources.into_iter().enumerate() {
            if let ResourceSpec::File(file) = &spec {
                // Nobody else has a folder of that name.
                let path = format!("/{i}{}", file.path).parse().unwrap();
                spec = FileSpec { path, ..(**file).clone() }.into();
            }
            if let ResourceSpec::SystemdUnit(declared) = &spec {
                let unit = format!("u{i}.service").parse().unwrap();
                spec = SystemdUnitSpec { unit, ..(**declared).clone() }.into();
            }
            let chosen = |indexes: Vec<sample::Index>| -> Vec<ResourceName> {
                if names.is_empty() {
                    return Vec::new();
                }
                indexes.iter().map(|index| index.get(&names).clone()).collect()
            };
            let (mut depends_on, restart_on) = (chosen(depends_on), chosen(restart_on));
            depends_on.extend(names.last().filter(|_| is_chained).cloned());
            let name: ResourceName = name.parse().unwrap();
            names.push(name.clone());
            builder.declare(Declaration { depends_on, restart_on, ..Declaration::new("", name, spec) });
        }
        builder.finish().unwrap()
    })
}

proptest! {
    #[test]
    fn any_state_that_is_expressed_is_lowered_to_itself(state in state()) {
        let spec = json!(express(&state).unwrap());
        let lowered = lower(&spec).unwrap();
        prop_assert_eq!(state.differences(&lowered), vec![]);
        prop_assert_eq!(state.digest(), lowered.digest());
        prop_assert_eq!(state, lowered);
    }
}

#[test]
fn an_expressed_state_says_only_what_is_not_the_default() {
    let mut builder = DesiredStateBuilder::default();
    for (name, depends_on) in [("a", vec![]), ("b", vec!["a".parse().unwrap()])] {
        let file = FileSpec::new(format!("/{name}").parse().unwrap(), "");
        builder.declare(Declaration { depends_on, ..Declaration::new("", name.parse().unwrap(), file) });
    }
    assert_eq!(
        json!(express(&builder.finish().unwrap()).unwrap()),
        json!({"scores": [
            {"score": "File", "version": "0.1.0", "name": "a", "with": {"path": "/a", "content": ""}},
            {"score": "File", "version": "0.1.0", "name": "b", "dependsOn": ["a"], "with": {"path": "/b", "content": ""}},
        ]})
    );
}

#[test]
fn when_the_device_goes_back_is_said_in_full() {
    let mut builder = DesiredStateBuilder::default();
    builder.roll_back_after(Duration::from_secs(600));
    let state = builder.finish().unwrap();
    let spec = json!(express(&state).unwrap());
    assert_eq!(spec, json!({"scores": [], "rollback": {"onFailure": "Previous", "deadline": "10m"}}));
    assert_eq!(lower(&spec).unwrap(), state);
}

#[test]
fn an_empty_state_is_an_empty_list_of_scores() {
    let spec = json!(express(&DesiredState::default()).unwrap());
    assert_eq!(spec, json!({"scores": []}));
    assert_eq!(lower(&spec).unwrap(), DesiredState::default());
}

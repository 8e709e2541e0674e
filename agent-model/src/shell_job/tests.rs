use proptest::{collection, option, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::{
    UnknownKeys,
    reader::{Field, Findings},
};

fn read(value: &Value) -> (Option<ShellJobSpec>, Vec<String>) {
    let mut findings = Findings::new(UnknownKeys::AreProblems);
    let spec = ShellJobSpec::read(Field { value, pointer: String::new() }, &mut findings);
    (spec, findings.into_parts().0.iter().map(ToString::to_string).collect())
}

fn problems(fields: Value) -> Vec<String> {
    let mut spec = json!({"script": "true"});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    read(&spec).1
}

fn spec() -> impl Strategy<Value = ShellJobSpec> {
    let env = collection::btree_map("[^\0=]{1,8}", "[^\0]{0,8}", 0..4).prop_map(|variables| {
        let mut env = Environment::default();
        variables.iter().for_each(|(name, value)| env.set(name, value).unwrap());
        env
    });
    let limits = (option::of((1_u64 << 20)..=1 << 60), option::of(1..=1_u64 << 22))
        .prop_map(|(memory, pids)| Limits { memory, pids, ..Limits::default() });
    let interpreter = option::of(("[^\0]{1,12}", collection::vec("[^\0]{0,12}", 0..3)));
    let user = option::of(prop_oneof![
        (0..u32::MAX).prop_map(Principal::Id),
        "[a-z_][a-z0-9_-]{0,30}".prop_map(Principal::Name)
    ]);
    let paths = collection::btree_set("/[a-z]{1,3}", 0..4)
        .prop_map(|paths| paths.iter().map(|path| path.parse().unwrap()).collect::<Vec<_>>());
    let creates = option::of("/[a-z]{1,8}".prop_map(|path| path.parse().unwrap()));
    let when = ("[a-z0-9.]{0,12}", option::of("[a-z][^\0]{0,12}"), creates);
    let bounds =
        ((1..=86_400_000_u64).prop_map(|millis| Duration::from_millis(millis.max(1000))), 0..=100_u64);
    let rights = (user, any::<bool>(), paths, limits);
    ("[a-z][^\0]{0,24}", interpreter, when, bounds, env, rights).prop_map(
        |(script, interpreter, (run_id, unless, creates), (timeout, retry), env, rights)| {
            let (user, network, writable_paths, limits) = rights;
            let default = ShellJobSpec::new(script);
            let interpreter = interpreter.map(|(program, arguments)| [vec![program], arguments].concat());
            ShellJobSpec {
                interpreter: interpreter.unwrap_or_else(|| default.interpreter.clone()),
                run_id,
                unless,
                creates,
                timeout,
                retry,
                env,
                user,
                network,
                writable_paths,
                limits,
                ..default
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_reads_back(spec in spec()) {
        let (read, problems) = read(&json!(spec));
        prop_assert_eq!(problems, Vec::<String>::new());
        prop_assert_eq!(read, Some(spec));
    }
}

#[test]
fn what_is_left_out_has_its_default_and_is_not_written() {
    let plain = json!({"script": "true"});
    assert_eq!(read(&plain), (Some(ShellJobSpec::new("true")), vec![]));
    assert_eq!(json!(ShellJobSpec::new("true")), plain);
    let explicit = json!({
        "script": "true", "interpreter": ["/bin/sh", "-eu"], "runId": "", "unless": null, "creates": null,
        "timeout": "1m", "retry": 0, "env": {}, "user": null, "network": false, "writablePaths": [], "limits": {},
    });
    assert_eq!(read(&explicit), (Some(ShellJobSpec::new("true")), vec![]));
}

#[test]
fn all_problems_are_reported_at_once_with_their_places() {
    let spec = json!({
        "script": " \n", "interpreter": [], "runId": 7, "unless": "a\0b", "creates": "x", "timeout": "10ms",
        "retry": 101, "env": {"N": 5}, "user": "a b", "network": "yes", "writablePaths": ["/a/../b"],
        "limits": {"memory": "1"}, "runID": "x",
    });
    let (read, problems) = read(&spec);
    assert_eq!(read, None);
    let expected = [
        "/script: it is empty: there is nothing to run",
        "/interpreter: it is empty: name at least the program",
        "/runId: expected a string, found a number: put it in quotes",
        "/unless: it has a NUL character, at which a shell would stop reading",
        "/creates: \"x\" is not a usable path: it must be absolute",
        "/timeout: \"10ms\" is too little: give at least 1s",
        "/retry: 101 is not a whole number from 0 to 100",
        "/env/N: expected a string, found a number: put it in quotes, as the program is to see it",
        "/user: \"a b\" names no user or group: use a number, or a name of at most 32 characters without : / or spaces",
        "/network: expected true or false, found a string",
        "/writablePaths/0: \"/a/../b\" is not a usable path: it must have no . or .. component",
        "/limits/memory: \"1\" is too little: give at least 1Mi",
        "/runID: unknown key \"runID\"; did you mean \"runId\"?",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn a_run_id_is_a_short_line() {
    assert_eq!(problems(json!({"runId": "2026-11 é"})), [""; 0]);
    assert_eq!(problems(json!({"runId": "a\nb"})), ["/runId: it must not have control characters"]);
    assert_eq!(problems(json!({"runId": "x".repeat(129)})).len(), 1);
}

#[test]
fn what_can_be_written_is_said_once() {
    assert_eq!(problems(json!({"writablePaths": ["/a", "/ab", "/b/c"]})), [""; 0]);
    let covered = ["/writablePaths/1: it is covered by /a already: leave it out"];
    assert_eq!(problems(json!({"writablePaths": ["/a", "/a"]})), covered);
    assert_eq!(problems(json!({"writablePaths": ["/a", "/a/b"]})), covered);
    assert_eq!(problems(json!({"writablePaths": vec!["/a"; 65]})).len(), 1);
}

#[test]
fn interpreter_and_environment_fit_together_into_what_a_program_can_be_started_with() {
    // "/bin/sh" and "-eu" take 12 bytes, and "V" with what joins and ends it 3.
    let value = "x".repeat((128 << 10) - 15);
    assert_eq!(problems(json!({"env": {"V": value}})), [""; 0]);
    assert_eq!(problems(json!({"env": {"V": format!("{value}x")}})).len(), 1);
}

#[test]
fn no_value_of_the_environment_shows_in_debug_output_or_in_what_the_digest_is_taken_of() {
    let (spec, _) = read(&json!({"script": "true", "env": {"TOKEN": "hunter2"}}));
    let shown = format!("{spec:?} {}", spec.as_ref().unwrap().canonical());
    assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_job_asks_for_all_that_it_would_have() {
    let (spec, _) = read(&json!({
        "script": "echo \"$NAME\"", "unless": "test -e /x", "env": {"NAME": "x", "PATH": "/x"}, "network": true,
        "writablePaths": ["/opt/app"],
    }));
    let spec = spec.unwrap();
    let asks: Vec<String> = spec.asks().iter().map(ToString::to_string).collect();
    let expected = [
        format!("run a script, {}", Digest::of_bytes(b"echo \"$NAME\"")),
        format!("run a script, {}", Digest::of_bytes(b"test -e /x")),
        "set the variable PATH, which its script does not name as its own".to_owned(),
        "run as user 65534".to_owned(),
        "use the host's network".to_owned(),
        "write /opt/app and all below it".to_owned(),
    ];
    assert_eq!(asks, expected);
}

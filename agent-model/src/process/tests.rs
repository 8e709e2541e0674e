use proptest::{option, prelude::*, sample};
use serde_json::{Value, json};

use super::*;
use crate::{
    HttpScheme, Probe, ProbeAction, UnknownKeys,
    reader::{Field, Findings},
    workload::strategies::{command, env, limits, log, millis, principal, probes},
};

fn read(value: &Value) -> (Option<ProcessSpec>, Vec<String>) {
    let mut findings = Findings::new(UnknownKeys::AreProblems);
    let spec = ProcessSpec::read(Field { value, pointer: String::new() }, &mut findings);
    (spec, findings.into_parts().0.iter().map(ToString::to_string).collect())
}

/// A valid spec with these fields instead of its own.
fn with(fields: Value) -> Value {
    let mut spec = json!({"command": ["/bin/app"]});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    spec
}

fn problems(fields: Value) -> Vec<String> {
    read(&with(fields)).1
}

fn spec() -> impl Strategy<Value = ProcessSpec> {
    let restart = sample::select(RestartPolicy::ALL.to_vec());
    let stop = (sample::select(StopSignal::ALL.to_vec()), millis(0, 3_600_000));
    let workdir = option::of("(/[a-z ]{1,8}){1,3}".prop_map(|path| path.parse().unwrap()));
    (command(), env(), workdir, principal(), principal(), restart, limits(), probes(), stop, log()).prop_map(
        |(command, env, workdir, user, group, restart, limits, probes, (stop_signal, stop_timeout), log)| {
            ProcessSpec {
                command,
                env,
                workdir,
                user,
                group,
                restart,
                limits,
                probes,
                stop_signal,
                stop_timeout,
                log,
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
    let plain = json!({"command": ["app"]});
    assert_eq!(read(&plain), (Some(ProcessSpec::new(vec!["app".into()])), vec![]));
    assert_eq!(json!(ProcessSpec::new(vec!["app".into()])), plain);
    let explicit = json!({
        "command": ["app"], "env": {}, "workdir": "/", "user": null, "group": null, "restart": "Always", "limits": {},
        "probes": {}, "stopSignal": "TERM", "stopTimeout": "10000ms", "log": {"maxSize": "10240Ki", "keep": 3},
    });
    assert_eq!(read(&explicit), (Some(ProcessSpec::new(vec!["app".into()])), vec![]));
}

#[test]
fn a_probe_is_that_of_kubernetes_by_default() {
    let (spec, problems) = read(&with(json!({"probes": {"readiness": {"http": {"port": 80}}}})));
    assert_eq!(problems, Vec::<String>::new());
    let probe = spec.unwrap().probes.readiness.unwrap();
    assert_eq!(
        probe,
        Probe {
            action: ProbeAction::Http { port: 80, path: "/".into(), scheme: HttpScheme::Http },
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            failure_threshold: 3,
            start_period: Duration::ZERO,
        }
    );
}

#[test]
fn all_problems_are_reported_at_once_with_their_places() {
    let spec = json!({
        "command": [], "env": {"A=B": "x", "B": true, "N": 5, "NUL": "hunter2\0", "S": {"sealed": {}}, "Z": null},
        "workdir": "var", "user": "a b", "restart": "always", "stopSignal": "SIGFOO", "stopTimeout": 5, "comand": [],
        "limits": {"memory": "1", "cpus": "1m", "pids": 0, "openFiles": "1024", "cpu": 1},
        "probes": {
            "startup": {},
            "readiness": {"exec": {"command": ["a", 1]}, "tcp": {"port": 0}},
            "liveness": {"http": {"path": "x", "scheme": "HTTP"}, "interval": "10ms", "failureThreshold": 0},
            "lively": {},
        },
        "log": {"maxSize": "1Ki", "keep": 101},
    });
    let (read, problems) = read(&spec);
    assert_eq!(read, None);
    let expected = [
        "/command: it is empty: name at least the program",
        "/env/A=B: \"A=B\" is not the name of a variable: use 1 to 255 characters without = and NUL",
        "/env/B: expected a string, found a boolean: put it in quotes, as the program is to see it",
        "/env/N: expected a string, found a number: put it in quotes, as the program is to see it",
        "/env/NUL: the value has a NUL character, which no variable can have",
        "/env/S/sealed: \"to\" is missing",
        "/env/S/sealed: \"box\" is missing",
        "/env/Z: expected a string, found null: give \"\" for an empty value, or leave the variable out",
        "/workdir: \"var\" is not a usable path: it must be absolute",
        "/user: \"a b\" names no user or group: use a number, or a name of at most 32 characters without : / or spaces",
        "/restart: \"always\" is no restart policy; did you mean \"Always\"?",
        "/limits/memory: \"1\" is too little: give at least 1Mi",
        "/limits/cpus: \"1m\" is too little: give at least 10m",
        "/limits/pids: 0 is not a whole number from 1 to 4194304",
        "/limits/openFiles: expected a number without quotes, found a string",
        "/limits/cpu: unknown key \"cpu\"; did you mean \"cpus\"?",
        "/probes/startup: one of \"exec\", \"http\" and \"tcp\" is missing",
        "/probes/readiness: \"exec\" and \"tcp\" exclude each other: keep one of them",
        "/probes/readiness/exec/command/1: expected a string, found a number: put it in quotes, as the program is to see it",
        "/probes/readiness/tcp/port: 0 is not a whole number from 1 to 65535",
        "/probes/liveness/http: \"port\" is missing",
        "/probes/liveness/http/path: \"x\" is no path to ask for: it must begin with /",
        "/probes/liveness/http/scheme: \"HTTP\" is no scheme; did you mean \"Http\"?",
        "/probes/liveness/interval: \"10ms\" is too little: give at least 100ms",
        "/probes/liveness/failureThreshold: 0 is not a whole number from 1 to 1000",
        "/probes/lively: unknown key \"lively\"; valid here: startup, readiness, liveness",
        "/stopSignal: \"SIGFOO\" is no signal to stop with: use one of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGKILL, SIGUSR1, SIGUSR2, SIGWINCH",
        "/stopTimeout: expected a string, found a number: put it in quotes with its unit, for example \"30s\"",
        "/log/maxSize: \"1Ki\" is too little: give at least 4Ki",
        "/log/keep: 101 is not a whole number from 0 to 100",
        "/comand: unknown key \"comand\"; did you mean \"command\"?",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn a_command_is_a_program_and_words_that_can_be_handed_to_it() {
    for (command, problem) in [
        (json!(null), "/: \"command\" is missing"),
        (json!("app --serve"), "/command: expected an array, found a string"),
        (json!(["", "x"]), "/command: its first word is empty: name the program"),
        (
            json!([true]),
            "/command/0: expected a string, found a boolean: put it in quotes, as the program is to see it",
        ),
        (json!(["a", "b\0"]), "/command/1: it has a NUL character, which no argument can have"),
        (json!(vec!["a"; 1025]), "/command: 1025 words are more than the 1024 that a command may have"),
    ] {
        assert_eq!(problems(json!({"command": command})), [problem]);
    }
    assert_eq!(problems(json!({"command": vec!["a"; 1024]})), Vec::<String>::new());
    assert_eq!(problems(json!({"command": ["app", ""]})), Vec::<String>::new());
}

#[test]
fn command_and_environment_fit_together_into_what_a_program_can_be_started_with() {
    // "app" and "V" with what closes or joins them take 4 and 3 bytes, and "c" of the probe 2.
    let value = "x".repeat((128 << 10) - 7);
    let probes = json!({"readiness": {"exec": {"command": ["c"]}}});
    let fits = json!({"command": ["app"], "env": {"V": value}, "probes": probes});
    assert_eq!(read(&fits).1, Vec::<String>::new());
    let too_long = json!({"command": ["c"], "env": {"V": value}, "probes": {"liveness": {"exec": {"command": ["app", ""]}}}});
    let problem = "/probes/liveness/exec/command: with the environment it has 131073 bytes, more than the 131072 \
                   that a program can be started with; put them in a file";
    assert_eq!(read(&too_long).1, [problem]);
    let too_long = json!({"command": ["apps"], "env": {"V": value}});
    assert_eq!(read(&too_long).1, [problem.replace("/probes/liveness/exec", "")]);
}

#[test]
fn a_path_to_ask_for_is_one_that_can_stand_in_a_request() {
    let problems = |path: &str| {
        problems(json!({"probes": {"liveness": {"http": {"port": 80, "path": path}}}})).join("; ")
    };
    assert_eq!(problems("/health?full=1&x=%20#a"), "");
    assert!(problems("").contains("must begin with /"));
    for path in ["/a b", "/a\r\nHost: x", "/\t", "/ä", "/\u{7f}"] {
        assert!(problems(path).contains("visible ASCII"), "{path:?}");
    }
    assert!(problems(&format!("/{}", "x".repeat(2048))).contains("longer than 2048"));
}

#[test]
fn a_stop_signal_is_named_with_or_without_its_prefix() {
    for signal in StopSignal::ALL {
        for name in [signal.as_str(), &signal.as_str()[3..]] {
            let (spec, problems) = read(&with(json!({"stopSignal": name})));
            assert_eq!((spec.unwrap().stop_signal, problems), (signal, vec![]), "{name}");
        }
    }
    for wrong in [json!("SIGSTOP"), json!("sigterm"), json!(""), json!(15)] {
        assert_eq!(problems(json!({"stopSignal": wrong})).len(), 1, "{wrong}");
    }
}

#[test]
fn no_value_of_the_environment_shows_in_debug_output_or_in_a_problem() {
    for env in [json!({"TOKEN": "hunter2"}), json!({"TOKEN": "hunter2\0"}), json!({"TO=KEN": "hunter2"})] {
        let (spec, problems) = read(&json!({"command": ["app"], "env": env}));
        let shown = format!("{spec:?} {problems:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("KEN"), "{shown}");
    }
}

//! How jobs come out.

use std::process::Command;

use agent_model::status::ResourceState::{Failed, Ready, Skipped};
use serde_json::json;
use tests::{
    document::{job, manifest},
    eventually::eventually,
    process::built,
    site::{Access, DEVICE, Site},
};

use super::{allowing, lines, open_folder};
use crate::status_words::{converged_at, listed, of_a_later_process, refused, stands};

#[tokio::test]
async fn a_job_runs_once_and_tells_how_it_came_out() {
    let site = Site::start(Access::Restricted).await;
    let folder = open_folder();
    let runs = folder.path().join("runs");
    let mut once =
        job("once", &format!("echo run >> {}; echo \"$GREETING\"; echo err >&2; id -u", runs.display()));
    once["spec"]["env"] = json!({"GREETING": "hi"});
    once["spec"]["writablePaths"] = json!([folder.path()]);
    let mut after = job("after", "true");
    after["dependsOn"] = json!(["once"]);
    let mut device = allowing(site.device(), &[&once, &after]);
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[once.clone(), after.clone()])).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let details = &listed(&status, "once").unwrap().details;
    assert_eq!((&details["exitCode"], &details["attempt"]), (&json!(0), &json!(1)), "{details}");
    let output = details["output"]["first"].as_str().unwrap();
    assert!(output.contains("hi\n") && output.contains("err\n") && output.contains("65534\n"), "{output}");
    assert!(listed(&status, "after").unwrap().reason == "Succeeded");
    assert_eq!(lines(&runs), 1);
    let logs = Command::new(built("harmony-agent"))
        .args(["logs", "once", "--state-dir"])
        .arg(device.state_dir())
        .output()
        .unwrap();
    assert_eq!((logs.stdout, logs.stderr), (b"hi\n65534\n".to_vec(), b"err\n".to_vec()));

    device.stop().await;
    device.start();
    let later = site.platform.status_where(DEVICE, "a restart", of_a_later_process(&status)).await;
    assert_eq!(lines(&runs), 1, "a restart of the agent ran it again: {later:?}");
    // Renamed it is the same job, and without it that it ran is still known.
    once["name"] = json!("renamed");
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    site.platform.put(DEVICE, &manifest(DEVICE, 3, &[once.clone()])).await;
    site.platform.status_where(DEVICE, "declared again", converged_at(3)).await;
    assert_eq!(lines(&runs), 1, "declared again it ran again");
    once["spec"]["runId"] = json!("2");
    site.platform.put(DEVICE, &manifest(DEVICE, 4, &[once])).await;
    site.platform.status_where(DEVICE, "another runId", converged_at(4)).await;
    assert_eq!(lines(&runs), 2);
    let told = |event: &agent_model::status::Event| event.event_type == "Job" && event.reason == "Succeeded";
    site.platform
        .events_where(DEVICE, "an event of each run", |events| {
            events.iter().filter(|event| told(event)).count() == 3
        })
        .await;
}

#[tokio::test]
async fn a_job_that_fails_or_takes_too_long_is_not_run_again_beyond_its_retries() {
    let site = Site::start(Access::Restricted).await;
    let folder = open_folder();
    let runs = |name: &str| folder.path().join(name);
    let with = |name: &str, script: &str, retry: u64| {
        let mut it = job(name, &format!("echo run >> {}; {script}", runs(name).display()));
        it["spec"]["writablePaths"] = json!([folder.path()]);
        it["spec"]["retry"] = json!(retry);
        it["spec"]["timeout"] = json!("1s");
        it
    };
    let jobs = [with("fails", "exit 7", 1), with("hangs", "trap '' TERM; sleep 1000 & sleep 1000", 0)];
    let mut device = allowing(site.device(), &[&jobs[0], &jobs[1]]);
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &jobs)).await;
    let over = |status: &_| {
        let attempts = |name| listed(status, name).and_then(|job| job.details["attempt"].as_u64());
        stands("fails", Failed, "Failed")(status)
            && attempts("fails") == Some(2)
            && stands("hangs", Failed, "TimedOut")(status)
    };
    let status = site.platform.status_where(DEVICE, "both over", over).await;
    assert_eq!(listed(&status, "fails").unwrap().details["exitCode"], json!(7));
    assert_eq!((lines(&runs("fails")), lines(&runs("hangs"))), (2, 1));
    assert_eq!(device.workloads(), [], "something is left of what took too long");
}

#[tokio::test]
async fn what_makes_a_job_needless_skips_it_and_that_counts_as_ready() {
    let site = Site::start(Access::Restricted).await;
    let mut creates = job("creates", "exit 1");
    creates["spec"]["creates"] = json!("/etc/passwd");
    let mut unless = job("unless", "exit 2");
    unless["spec"]["unless"] = json!("test -e /etc/passwd");
    let mut needed = job("needed", "exit 0");
    needed["spec"]["unless"] = json!("test -e /nonexistent");
    needed["dependsOn"] = json!(["creates", "unless"]);
    let mut device = allowing(site.device(), &[&creates, &unless, &needed]);
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[creates, unless, needed])).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    for (name, state, reason) in
        [("creates", Skipped, "Creates"), ("unless", Skipped, "Unless"), ("needed", Ready, "Succeeded")]
    {
        assert!(stands(name, state, reason)(&status), "{name}: {status:?}");
    }
}

#[tokio::test]
async fn a_job_outlives_the_agent_and_ends_when_it_is_declared_no_longer() {
    let site = Site::start(Access::Restricted).await;
    let folder = open_folder();
    let (begun, told) = (folder.path().join("begun"), folder.path().join("told"));
    let script = format!(
        "trap 'echo term >> {}; exit 0' TERM; echo begun >> {}; while :; do sleep 0.1; done",
        told.display(),
        begun.display()
    );
    let mut long = job("long", &script);
    long["spec"]["writablePaths"] = json!([folder.path()]);
    long["spec"]["timeout"] = json!("1h");
    let mut device = allowing(site.device(), &[&long]);
    device.start();
    site.platform.put(DEVICE, &manifest(DEVICE, 1, &[long])).await;
    eventually("it has begun", async || if lines(&begun) == 1 { Ok(()) } else { Err("not yet".to_owned()) })
        .await;
    let before = device.workloads();
    device.kill();
    device.start();
    let status = site
        .platform
        .status_where(DEVICE, "found again", |status| {
            listed(status, "long").is_some_and(|job| job.reason == "Running" && job.message.contains("since"))
        })
        .await;
    assert_eq!(device.workloads(), before, "{status:?}");
    site.platform.put(DEVICE, &manifest(DEVICE, 2, &[])).await;
    site.platform.status_where(DEVICE, "removed", converged_at(2)).await;
    assert_eq!((lines(&begun), lines(&told)), (1, 1), "it was not asked to end");
    assert_eq!(device.workloads(), []);
}

#[tokio::test]
async fn no_job_runs_unless_the_policy_lists_it_and_none_that_is_made_to_do_something_else() {
    let site = Site::start(Access::Restricted).await;
    let good = job("job", "true");
    let with = |key: &str, value: serde_json::Value| {
        let mut job = good.clone();
        job["spec"][key] = value;
        job
    };
    let tries = [
        (with("script", json!("false")), "scripts = "),
        (with("unless", json!("false")), "scripts = "),
        (with("interpreter", json!(["/bin/sh", "-c", "id"])), "scripts = "),
        (with("env", json!({"LD_PRELOAD": "/opt/x.so"})), "scripts = "),
        (with("network", json!(true)), "hostNetwork = "),
        (with("writablePaths", json!(["/etc"])), "paths = "),
        (with("user", json!("root")), "rootEquivalent = "),
    ];
    let mut device =
        allowing(site.device(), &[&good]).with_rule("rootEquivalent", "false").with_rule("paths", "['/srv']");
    device.start();
    for (generation, (asking, rule)) in (1..).zip(&tries) {
        let revision =
            site.platform.put(DEVICE, &manifest(DEVICE, generation, std::slice::from_ref(asking))).await;
        let status = site.platform.status_where(DEVICE, rule, refused(revision, "PolicyDenied")).await;
        let message = &status.condition(agent_model::status::ConditionType::Accepted).unwrap().message;
        assert!(message.contains(rule), "{message}");
    }
}

//! The runtime may be away, hang up, or come back as another process.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
};

use agent_model::status::ResourceState::{Failed, Ready};
use tests::document::file;

use super::{Stage, sleeper, web};
use crate::status_words::{Counts, converged_at, counts, listed, stands};

#[tokio::test]
async fn without_a_runtime_containers_fail_and_all_else_goes_on_until_it_comes() {
    let mut stage = Stage::set().await;
    stage.runtime.kill();
    stage.put(1, &[file("config", "/etc/config", "1"), sleeper("web")]).await;
    let status = stage
        .status("the file is there and the container is not", |status| {
            stands("web", Failed, "RuntimeUnavailable")(status)
                && status.resources.iter().any(|it| it.name == "config" && it.state == Ready)
        })
        .await;
    let web = listed(&status, "web").unwrap();
    assert!(web.message.contains("container_socket") && web.next_retry.is_some(), "{web:?}");
    let (code, printed) = stage.device.check().await;
    assert!(printed.contains("containers") && printed.contains("cannot be run"), "{code:?} {printed}");
    stage.runtime.serve().await;
    stage.status("converged", converged_at(1)).await;
    let (_, printed) = stage.device.check().await;
    assert!(printed.contains("are run by podman 4"), "{printed}");
}

#[tokio::test]
async fn a_runtime_that_restarts_is_listened_to_again_and_restarts_nothing() {
    let mut stage = Stage::set().await;
    stage.put(1, &[web("1"), sleeper("other")]).await;
    stage.status("converged", converged_at(1)).await;
    let before = stage.runtime.inspect("web").await.unwrap();
    for round in 1..=2 {
        stage.runtime.kill();
        // While nobody listens.
        stage.runtime.podman(&["kill", "other"]).await;
        stage.runtime.serve().await;
        stage
            .status("what died meanwhile is back", |status| {
                stands("other", Ready, "Running")(status)
                    && counts(status, "other")
                        == Counts { changes: 1, restarts: 2 * round - 1, drift_corrections: 0 }
            })
            .await;
        // While it is listened to again.
        stage.runtime.podman(&["kill", "other"]).await;
        stage
            .status("what died since is back", |status| {
                stands("other", Ready, "Running")(status)
                    && counts(status, "other")
                        == Counts { changes: 1, restarts: 2 * round, drift_corrections: 0 }
            })
            .await;
    }
    let now = stage.runtime.inspect("web").await.unwrap();
    assert_eq!((&now["Id"], &now["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));
}

#[tokio::test]
async fn a_runtime_that_does_not_answer_holds_up_nothing_else() {
    let stage = Stage::set_with(|device| {
        let silent = device.state_dir().parent().unwrap().join("silent.sock");
        let listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
        // Open for as long as the test runs: whoever connects waits in its queue.
        std::mem::forget(listener);
        device.with("container_socket", silent.to_str().unwrap())
    })
    .await;
    stage.put(1, &[file("config", "/etc/config", "1")]).await;
    stage.status("the file is there", converged_at(1)).await;
    stage.put(2, &[file("config", "/etc/config", "2"), sleeper("web")]).await;
    let status = stage
        .status("said so", |status| {
            stands("web", Failed, "RuntimeUnavailable")(status)
                && status.resources.iter().any(|it| it.name == "config" && it.state == Ready)
        })
        .await;
    assert!(listed(&status, "web").unwrap().message.contains("no answer"), "{status:#?}");
}

/// Answers a question with JSON of so many bytes.
fn tells_much(mut asked: UnixStream, bytes: u64) {
    let mut head = [0; 4096];
    let _ = asked.read(&mut head);
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n[\"");
    let mut told = asked.write_all(head.as_bytes());
    let much = [b'x'; 1 << 16];
    for _ in 0..bytes / much.len() as u64 {
        // Until the other side has had enough.
        told = told.and_then(|()| asked.write_all(&much));
    }
}

/// The most memory that a process ever had, in bytes.
fn most_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn whatever_a_runtime_says_takes_no_more_memory_than_it_may() {
    const GIB: u64 = 1 << 30;
    let stage = Stage::set_with(|device| {
        let socket = device.state_dir().parent().unwrap().join("talkative.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for asked in listener.incoming().flatten() {
                std::thread::spawn(|| tells_much(asked, GIB));
            }
        });
        device.with("container_socket", socket.to_str().unwrap())
    })
    .await;
    stage.put(1, &[file("config", "/etc/config", "1"), sleeper("web")]).await;
    let status = stage
        .status("said so", |status| {
            stands("web", Failed, "RuntimeUnavailable")(status)
                && status.resources.iter().any(|it| it.name == "config" && it.state == Ready)
        })
        .await;
    assert!(listed(&status, "web").unwrap().message.contains("more than 16 MiB"), "{status:#?}");
    let most = most_memory(stage.device.pid());
    assert!(most < GIB / 4, "it took {} MiB", most >> 20);
}

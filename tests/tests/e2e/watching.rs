//! Whoever watches a fleet misses nothing, whatever becomes of the server.

use tests::{
    document::{file, manifest},
    eventually::eventually,
    harmonyctl::{Harmonyctl, Running},
    nats_server::{Backup, NatsServer, Settings, Version},
    platform::{Platform, provision_all},
};

on_each_version!(
    a_watch_of_agents_shows_what_comes_after_the_server_came_back_with_an_older_store,
    a_watch_of_agents_shows_what_was_written_to_an_older_store_before_it_was_back,
);

async fn put(server: &NatsServer, device: &str) {
    let document = manifest(device, 1, &[file("a", "/etc/a", "1")]);
    Platform::connect(server).await.put(device, &document).await;
}

async fn until_shown(watch: &Running, device: &str) {
    eventually("the device is shown", async || {
        let shown = watch.stdout();
        if shown.lines().any(|line| line.starts_with(device)) { Ok(()) } else { Err(shown) }
    })
    .await;
}

/// A server with one device, a copy of its store of that moment, and a watch that saw three more.
async fn watched(version: Version) -> (NatsServer, Backup, Harmonyctl, Running) {
    let mut server = NatsServer::start(Settings { version, ..Settings::default() }).await;
    provision_all(&server).await;
    put(&server, "edge-0001").await;
    server.stop().await;
    let backup = server.back_up();
    server.start_again().await;
    for device in ["edge-0002", "edge-0003", "edge-0004"] {
        put(&server, device).await;
    }
    let shell = Harmonyctl::new(server.url());
    let watch = shell.start(&["get", "agents", "--watch"]);
    until_shown(&watch, "edge-0004").await;
    (server, backup, shell, watch)
}

async fn a_watch_of_agents_shows_what_comes_after_the_server_came_back_with_an_older_store(version: Version) {
    let (mut server, backup, _shell, watch) = watched(version).await;
    // A server that comes back as it was.
    server.kill();
    server.start_again().await;
    put(&server, "edge-0005").await;
    until_shown(&watch, "edge-0005").await;

    server.stop().await;
    server.restore(&backup);
    server.start_again().await;
    // It gets a place in the stream that was read already.
    put(&server, "edge-0006").await;
    until_shown(&watch, "edge-0006").await;
    watch.interrupt().await;
}

async fn a_watch_of_agents_shows_what_was_written_to_an_older_store_before_it_was_back(version: Version) {
    let (mut server, backup, _shell, mut watch) = watched(version).await;
    server.stop().await;
    server.restore(&backup);
    watch.pause();
    server.start_again().await;
    // As far as the watch has read, and further.
    for device in ["edge-0012", "edge-0013", "edge-0014", "edge-0015"] {
        put(&server, device).await;
    }
    watch.resume();
    for device in ["edge-0012", "edge-0013", "edge-0014", "edge-0015"] {
        until_shown(&watch, device).await;
    }
    let said = watch.interrupt().await.stderr;
    assert!(said.contains("what was read is not there any more"), "{said}");
}

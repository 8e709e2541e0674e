//! Whoever watches a fleet misses nothing, whatever becomes of the server.

use tests::{
    document::{file, manifest},
    eventually::eventually,
    harmonyctl::{Harmonyctl, Running},
    nats_server::{NatsServer, Settings, Version},
    platform::{Platform, provision_all},
    site::DEVICE,
};

on_each_version!(a_watch_of_agents_shows_what_comes_after_the_server_came_back_with_an_older_store);

async fn put(server: &NatsServer, generation: u64) {
    let document = manifest(DEVICE, generation, &[file("a", "/etc/a", "1")]);
    Platform::connect(server).await.put(DEVICE, &document).await;
}

async fn until_shown(watch: &Running, generation: u64) {
    let wanted = generation.to_string();
    eventually("the generation is shown", async || {
        let shown = watch.stdout();
        let mut generations = shown.lines().filter_map(|line| line.split_whitespace().nth(2));
        if generations.any(|shown| shown == wanted) { Ok(()) } else { Err(shown) }
    })
    .await;
}

async fn a_watch_of_agents_shows_what_comes_after_the_server_came_back_with_an_older_store(version: Version) {
    let mut server = NatsServer::start(Settings { version, ..Settings::default() }).await;
    provision_all(&server).await;
    put(&server, 1).await;
    server.stop().await;
    let backup = server.back_up();
    server.start_again().await;
    for generation in 2..=4 {
        put(&server, generation).await;
    }
    let shell = Harmonyctl::new(server.url());
    let watch = shell.start(&["get", "agents", "--watch"]);
    until_shown(&watch, 4).await;

    // A server that comes back as it was.
    server.kill();
    server.start_again().await;
    put(&server, 5).await;
    until_shown(&watch, 5).await;

    server.stop().await;
    server.restore(&backup);
    server.start_again().await;
    // It gets a place in the stream that was read already.
    put(&server, 6).await;
    until_shown(&watch, 6).await;
    watch.interrupt().await;
}

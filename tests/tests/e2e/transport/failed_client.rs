//! An agent whose NATS client fails by a fault of its own is not deaf from then on.

use tests::agent::Agent;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Greets like a server and then breaks the client that the agent has: no server can be made to send this.
async fn greet_and_break(mut client: TcpStream) {
    const GREETING: &[u8] = b"INFO {\"server_id\":\"S\",\"version\":\"2.15.1\",\"proto\":1,\"headers\":true,\
        \"max_payload\":1048576,\"host\":\"127.0.0.1\",\"port\":4222}\r\n";
    client.write_all(GREETING).await.unwrap();
    let mut said = Vec::new();
    while !said.windows(6).any(|bytes| bytes == b"PING\r\n") {
        if client.read_buf(&mut said).await.unwrap() == 0 {
            return;
        }
    }
    client.write_all(b"PONG\r\n").await.unwrap();
    // An error without any words, of which that client takes the fifth byte.
    client.write_all(b"-ERR\r\n").await.unwrap();
    // Nothing more comes of it.
    while client.read_buf(&mut said).await.is_ok_and(|read| read > 0) {}
}

#[tokio::test]
async fn an_agent_whose_nats_client_fails_for_good_ends_so_that_it_is_started_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            greet_and_break(client).await;
        }
    });
    let mut device = Agent::new("edge-0001", &format!("nats://127.0.0.1:{port}"));
    device.start();
    let status = device.end().await;
    assert_eq!(status.code(), Some(1), "{status}\n{}", device.log());
    let log = device.log();
    assert!(log.contains("the NATS client ended by a fault of its own"), "{log}");
    assert!(log.matches("cannot subscribe").count() < 2, "it tries again and again: {log}");
    server.abort();
}

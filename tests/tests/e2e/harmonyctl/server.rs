//! The server: what is set up there, and how it is found.

use tests::{
    harmonyctl::Harmonyctl,
    nats_server::{NatsServer, Settings},
    site::DEVICE,
};

use super::{NOBODY, assert_printed, holding};

#[tokio::test]
async fn init_makes_everything_once_and_then_says_unchanged() {
    let server = NatsServer::start(Settings::default()).await;
    let shell = Harmonyctl::new(server.url());
    let said = |change: &str| {
        [
            "desired-state",
            "actual-state",
            "agent-heartbeat",
            "agents",
            "AGENT_EVENTS",
            "ENROLL_REQUESTS",
            "ENROLL_ANSWERS",
        ]
        .map(|name| format!("{name} {change}"))
    };
    for change in ["created", "unchanged", "unchanged"] {
        let ran = shell.run(&["init"]).await;
        ran.assert_ended(0);
        let mut lines: Vec<&str> = ran.stdout.lines().collect();
        lines.sort_unstable();
        let mut expected = said(change);
        expected.sort_unstable();
        assert_eq!(lines, expected, "{ran:#?}");
    }
}

#[tokio::test]
async fn where_no_server_answers_every_command_ends_with_1_and_names_the_address() {
    let shell = Harmonyctl::new(NOBODY);
    let path = shell.file(&[holding("1")]);
    for command in [&["get", "agents"][..], &["init"], &["apply", "-f", &path], &["delete", "agent", DEVICE]]
    {
        let ran = shell.run(command).await;
        ran.assert_ended(1);
        assert_printed(&ran, &[]);
        assert!(ran.stderr.contains(&format!("no NATS server answers at {NOBODY}")), "{ran:#?}");
    }
}

#[tokio::test]
async fn the_environment_names_the_server_and_the_command_line_wins() {
    let server = NatsServer::start(Settings::default()).await;
    Harmonyctl::new(server.url()).run(&["init"]).await.assert_ended(0);
    let astray = Harmonyctl::new(NOBODY);
    astray.run(&["get", "agents"]).await.assert_ended(1);
    let ran = astray.run(&["get", "agents", "--nats-url", &server.url()]).await;
    ran.assert_ended(0);
    assert_eq!(ran.stderr, "No agents found.\n");
}

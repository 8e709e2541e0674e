//! What the server keeps of a device's document, as people look it up and apply it again.

use serde_json::Value;
use tests::{
    document::{authored, file},
    harmonyctl::{Harmonyctl, Ran},
    nats_server::Version,
    platform::DESIRED_STATE,
    signer::Signer,
    site::{Access, DEVICE, Site},
};

/// Another device of the same server.
const NEIGHBOUR: &str = "edge-0002";

fn holding(agent: &str, content: &str) -> Value {
    authored(agent, &[file("a", "/etc/a", content)])
}

#[track_caller]
fn assert_refused(ran: &Ran, code: i32, said: &[&str]) {
    ran.assert_ended(code);
    assert_eq!(ran.stdout, "", "{ran:#?}");
    for said in said {
        assert!(ran.stderr.contains(said), "no {said:?}: {ran:#?}");
    }
}

/// Somebody with the rights of the platform.
fn shell(site: &Site, access: Access) -> Harmonyctl {
    if access != Access::Operator {
        return Harmonyctl::new(site.server.url_with_credentials());
    }
    let credentials = site.operator().folder().platform_credentials();
    let (url, credentials) = (site.server.url(), credentials.to_str().unwrap());
    Harmonyctl::with_environment(&[("HARMONYCTL_NATS_URL", &url), ("HARMONYCTL_CREDS", credentials)])
}

/// The cells of a table, line by line.
fn cells(ran: &Ran) -> Vec<Vec<&str>> {
    ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect()
}

async fn apply(shell: &Harmonyctl, document: Value, options: &[&str]) {
    let path = shell.file(&[document]);
    shell.run(&[&["apply", "--no-wait", "-f", &path], options].concat()).await.assert_ended(0);
}

/// The document in force.
async fn newest(site: &Site, agent: &str) -> Value {
    let entry = site.platform.entry(DESIRED_STATE, agent).await.unwrap().unwrap();
    serde_json::from_slice(&entry.value).unwrap()
}

/// Three documents of a device, at the revisions 1, 3 and 4; 2 is its neighbour's.
async fn three_documents(shell: &Harmonyctl) {
    for (agent, content) in [(DEVICE, "1"), (NEIGHBOUR, "secret"), (DEVICE, "2"), (DEVICE, "3")] {
        apply(shell, holding(agent, content), &[]).await;
    }
}

#[tokio::test]
async fn an_earlier_document_is_listed_printed_and_applied_again_as_a_newer_one() {
    for (version, access) in [
        (Version::Pinned, Access::Restricted),
        (Version::Oldest, Access::Restricted),
        (Version::Pinned, Access::Operator),
    ] {
        let site = Site::start_on(version, access).await;
        let shell = shell(&site, access);
        three_documents(&shell).await;

        for words in [&["get", "documents", DEVICE][..], &["get", "document/edge-0001"]] {
            let ran = shell.run(words).await;
            ran.assert_ended(0);
            let cells = cells(&ran);
            assert_eq!(cells[0], ["REVISION", "GENERATION", "KIND", "SIGNER", "AGE"]);
            let rows: Vec<_> = cells[1..].iter().map(|cells| &cells[..4]).collect();
            assert_eq!(
                rows,
                [["1", "1"], ["3", "2"], ["4", "3"]].map(|[revision, generation]| [
                    revision,
                    generation,
                    "AgentManifest",
                    "-"
                ])
            );
        }
        let printed = shell.run(&["get", "document", DEVICE, "-o", "json"]).await;
        printed.assert_ended(0);
        assert_eq!(serde_json::from_str::<Value>(&printed.stdout).unwrap(), newest(&site, DEVICE).await);

        let printed = shell.run(&["get", "document", DEVICE, "--revision", "3", "-o", "yaml"]).await;
        printed.assert_ended(0);
        assert!(printed.stdout.starts_with("apiVersion: harmony/v1\n"), "{printed:#?}");
        let path = shell.text("before.yaml", &printed.stdout);
        let ran = shell.run(&["diff", "-f", &path]).await;
        assert!(ran.code == Some(3) && ran.stdout.contains("content: \"2\""), "{ran:#?}");
        let ran = shell.run(&["apply", "--no-wait", "-f", &path]).await;
        ran.assert_ended(0);
        assert_eq!(ran.stdout, "agent/edge-0001 configured (generation 4)\n");
        let document = newest(&site, DEVICE).await;
        assert_eq!(document["metadata"]["generation"], 4);
        assert_eq!(document["spec"], holding(DEVICE, "2")["spec"]);
    }
}

#[tokio::test]
async fn a_revision_of_another_device_is_never_printed_and_neither_is_one_that_is_not_there() {
    let site = Site::start(Access::Restricted).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    three_documents(&shell).await;
    for revision in ["2", "99"] {
        for option in ["--output=table", "--output=json", "--raw"] {
            let ran = shell.run(&["get", "document", DEVICE, "--revision", revision, option]).await;
            let said = format!("agent/edge-0001 has no revision {revision}");
            assert_refused(&ran, 1, &[&said, "`harmonyctl get document edge-0001` lists"]);
        }
    }
    for option in ["--output=table", "--output=json", "--raw", "--revision=2"] {
        let ran = shell.run(&["get", "document", "edge-0404", option]).await;
        assert_refused(&ran, 1, &["agent/edge-0404 is not known here"]);
    }
}

#[tokio::test]
async fn a_deleted_document_is_marked_and_those_before_it_can_be_had() {
    let site = Site::start(Access::Restricted).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    three_documents(&shell).await;
    shell.run(&["delete", "agent", DEVICE]).await.assert_ended(0);
    let ran = shell.run(&["get", "document", DEVICE]).await;
    ran.assert_ended(0);
    assert_eq!(cells(&ran)[4][..4], ["5", "-", "<deleted>", "-"]);
    for options in [&["-o", "yaml"][..], &["--raw"], &["-o", "yaml", "--revision", "5"]] {
        let ran = shell.run(&[&["get", "document", DEVICE], options].concat()).await;
        let said = "revision 5 of agent/edge-0001 says that the document was deleted";
        assert_refused(&ran, 1, &[said, "--revision N prints one"]);
    }
    let ran = shell.run(&["get", "document", DEVICE, "-o", "yaml", "--revision", "4"]).await;
    ran.assert_ended(0);
    let path = shell.text("before.yaml", &ran.stdout);
    shell.run(&["apply", "--no-wait", "-f", &path]).await.assert_ended(0);
    assert_eq!(newest(&site, DEVICE).await["spec"], holding(DEVICE, "3")["spec"]);
}

#[tokio::test]
async fn a_signed_document_is_printed_to_be_applied_or_raw_to_be_verified() {
    let site = Site::start(Access::Restricted).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    let key = Signer::new().await;
    apply(&shell, holding(DEVICE, "1"), &["--sign-key", &key.private_key()]).await;
    let ran = shell.run(&["get", "document", DEVICE]).await;
    assert_eq!(cells(&ran)[1][..4], ["1", "1", "AgentManifest", key.key_id()], "{ran:#?}");

    let raw = shell.run(&["get", "document", DEVICE, "--raw"]).await;
    raw.assert_ended(0);
    let entry = site.platform.entry(DESIRED_STATE, DEVICE).await.unwrap().unwrap();
    assert_eq!(raw.stdout.as_bytes(), entry.value);
    let path = shell.text("raw.json", &raw.stdout);
    let ran = shell.run(&["verify", "-f", &path, "--key", &key.public_key()]).await;
    ran.assert_ended(0);
    assert!(ran.stdout.contains(&format!("signed by {}", key.key_id())), "{ran:#?}");

    let printed = shell.run(&["get", "document", DEVICE, "-o", "yaml"]).await;
    printed.assert_ended(0);
    let path = shell.text("before.yaml", &printed.stdout);
    let ran = shell.run(&["apply", "--no-wait", "-f", &path, "--sign-key", &key.private_key()]).await;
    ran.assert_ended(0);
    assert_eq!(ran.stdout, "agent/edge-0001 unchanged (generation 1)\n");
}

#[tokio::test]
async fn an_entry_that_is_no_document_is_listed_and_printed_raw_only() {
    let site = Site::start(Access::Restricted).await;
    let shell = Harmonyctl::new(site.server.url_with_credentials());
    site.platform.put_bytes(DEVICE, b"\treboot now\r\n".to_vec()).await;
    let ran = shell.run(&["get", "document", DEVICE]).await;
    assert_eq!(cells(&ran)[1][..4], ["1", "-", "-", "-"]);
    let ran = shell.run(&["get", "document", DEVICE, "-o", "json"]).await;
    assert_refused(&ran, 2, &["revision 1 of agent/edge-0001 is no document", "--raw"]);
    let ran = shell.run(&["get", "document", DEVICE, "--raw"]).await;
    ran.assert_ended(0);
    assert_eq!(ran.stdout, "\treboot now\r\n");
}

#[tokio::test]
async fn what_makes_no_sense_for_a_document_is_told_before_a_server_is_asked() {
    let shell = Harmonyctl::new("nats://127.0.0.1:1");
    let document = &["get", "document", DEVICE][..];
    for (words, said) in [
        (&[document, &["--watch"]].concat()[..], "not watched"),
        (&[document, &["-o", "name"]].concat(), "-o name is for agents"),
        (&[document, &["--revision", "0"]].concat(), "0"),
        (&["get", "documents"], "say of which device"),
        (&["get", "agents", "--revision", "3"], "get document ID"),
        (&["get", "agent", DEVICE, "--raw"], "get document ID"),
    ] {
        assert_refused(&shell.run(words).await, 2, &[said]);
    }
    let ran = shell.run(document).await;
    assert_refused(&ran, 1, &["no NATS server answers"]);
}

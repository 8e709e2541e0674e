//! From manifests to Scores by the platform's command line: documents, live entries, and whether it
//! would change anything. The devices are statuses written by hand.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    document::{authored, file, manifest, score, scores},
    harmonyctl::{Harmonyctl, Ran},
    platform::{ACTUAL_STATE, DESIRED_STATE},
    site::{Access, Site},
};

/// Where no server is: no program is given that port by chance.
const NOBODY: &str = "nats://127.0.0.1:1";
/// What a device lists that has the Scores which come with the bridge.
const BUILT_IN: &[&str] = &[
    "ConfigSet@0.1.0",
    "Container@0.1.0",
    "ContainerApp@0.1.0",
    "File@0.1.0",
    "Process@0.1.0",
    "ServiceApp@0.1.0",
    "ShellJob@0.1.0",
    "SystemdUnit@0.1.0",
];

/// A fleet without agents, and somebody who works on it.
struct Desk {
    site: Site,
    shell: Harmonyctl,
    folder: TempDir,
}

impl Desk {
    async fn start() -> Self {
        let site = Site::start(Access::Open).await;
        let shell = Harmonyctl::new(site.server.url_with_credentials());
        Self { site, shell, folder: TempDir::with_prefix("harmony-desk-").unwrap() }
    }

    /// Has the device say that it reads these Scores (none where there are none) and that it has
    /// accepted what its entry holds.
    async fn report(&self, agent: &str, scores: &[&str]) {
        let entry = self.site.platform.entry(DESIRED_STATE, agent).await.unwrap();
        let accepted = entry.map(|entry| {
            let digest = agent_model::Digest::of_bytes(&entry.value);
            json!({"generation": 1, "digest": digest, "kind": "AgentManifest", "schemaVersion": "1.0.0",
                   "at": "2026-01-31T12:00:00Z"})
        });
        let mut formats = json!({"AgentManifest": ["1.0.0"]});
        if !scores.is_empty() {
            formats["Score"] = json!(["0.1.0"]);
        }
        let status = json!({
            "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.0.0", "agent": agent,
            "writer": {"instance": "i", "epoch": 1, "op": 1}, "phase": "Converged", "desired": null,
            "highestGeneration": 1, "accepted": accepted, "applied": null, "conditions": [],
            "summary": {"total": 0, "ready": 0, "failed": 0, "pending": 0}, "resources": [],
            "agentInfo": {"version": "0.1.0", "formats": formats, "scores": scores, "reconcilers": ["File"],
                          "facts": {"arch": "riscv64", "hostname": format!("host-of-{agent}"), "os": "Tea OS"},
                          "bootId": null, "startedAt": "2026-01-31T12:00:00Z"},
        });
        let subject = format!("$KV.{ACTUAL_STATE}.{agent}");
        let ack = self.site.platform.jetstream.publish(subject, status.to_string().into()).await.unwrap();
        ack.await.unwrap();
    }

    /// A device with such an entry, which it has accepted and could have as Scores.
    async fn device(&self, agent: &str, resources: &[Value]) {
        self.site.platform.put(agent, &manifest(agent, 1, resources)).await;
        self.report(agent, BUILT_IN).await;
    }

    async fn entry(&self, agent: &str) -> Option<Value> {
        let entry = self.site.platform.entry(DESIRED_STATE, agent).await.unwrap()?;
        Some(serde_json::from_slice(&entry.value).unwrap())
    }

    /// What a command printed, as a file.
    fn saved(&self, ran: &Ran) -> String {
        saved(&self.folder, ran)
    }
}

fn saved(folder: &TempDir, ran: &Ran) -> String {
    let path: PathBuf = folder.path().join("printed");
    fs::write(&path, &ran.stdout).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn files_come_out_as_documents_of_scores_that_are_valid_in_both_notations() {
    let shell = Harmonyctl::new(NOBODY);
    let folder = TempDir::with_prefix("harmony-desk-").unwrap();
    let mut first = authored(
        "edge-1",
        &[file("a", "/etc/a", "one line\r\n\u{1b}[2J and another\n\n"), file("b", "/etc/b", "x\n\n")],
    );
    first["metadata"]["labels"] = json!({"site": "north"});
    let documents = [first, authored("edge-2", &[])];
    let path = shell.file(&documents);
    let json = shell.run(&["convert", "--to", "Score", "-f", &path, "-o", "json"]).await;
    json.assert_ended(0);
    let list: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(list["kind"], "List");
    let (one, two) = (&list["items"][0], &list["items"][1]);
    assert_eq!(one["metadata"], documents[0]["metadata"]);
    let file = |place: usize| documents[0]["spec"]["resources"][place]["spec"].clone();
    assert_eq!(one["spec"]["scores"][0], score("File", "a", &file(0)));
    assert_eq!(one["spec"]["scores"][1], score("File", "b", &file(1)));
    assert_eq!(two["spec"], json!({"scores": []}));

    let yaml = shell.run(&["convert", "-f", &path]).await;
    yaml.assert_ended(0);
    for printed in [&json, &yaml] {
        let again = shell.run(&["convert", "-o", "json", "-f", &saved(&folder, printed)]).await;
        again.assert_ended(0);
        assert_eq!(again.stdout, json.stdout, "Scores stay as they are, in whatever notation");
        let ran = shell.run(&["validate", "-f", &saved(&folder, printed)]).await;
        ran.assert_ended(0);
        assert_eq!(ran.stdout.lines().filter(|line| line.ends_with(": valid")).count(), 2, "{ran:#?}");
    }
    let single = shell.run(&["convert", "-o", "json", "-f", &shell.file(&documents[..1])]).await;
    assert_eq!(serde_json::from_str::<Value>(&single.stdout).unwrap(), *one);
}

#[tokio::test]
async fn nothing_is_printed_when_any_document_cannot_be_converted_and_all_problems_are_told() {
    let shell = Harmonyctl::new(NOBODY);
    let mut misspelt = file("a", "/etc/a", "1");
    misspelt["spec"]["mdoe"] = json!("0644");
    let mut newer = authored("edge-3", &[file("a", "/etc/a", "1")]);
    newer["schemaVersion"] = json!("1.9.0");
    newer["minSchemaVersion"] = json!("1.0.0");
    newer["spec"]["resources"][0]["colour"] = json!("red");
    let documents = [authored("edge-1", &[]), authored("edge-2", &[misspelt]), newer];
    let ran = shell.run(&["convert", "-f", &shell.file(&documents)]).await;
    ran.assert_ended(2);
    assert_eq!(ran.stdout, "");
    for said in [
        "document 2 (agent/edge-2): /spec/resources/0/spec/mdoe: unknown key",
        "document 3 (agent/edge-3): /spec/resources/0/colour: this harmonyctl does not know the key",
        "nothing was printed",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {ran:#?}");
    }
    for usage in [&["convert"][..], &["convert", "agents", "-f", "-"], &["convert", "-o", "table", "agents"]]
    {
        shell.run(usage).await.assert_ended(2);
    }
}

#[tokio::test]
async fn the_entry_of_a_device_is_converted_and_applied_in_its_place() {
    let desk = Desk::start().await;
    let mut document = manifest("edge-1", 7, &[file("a", "/etc/a", "1\n")]);
    document["metadata"]["labels"] = json!({"site": "north"});
    document["metadata"]["issuedAt"] = json!("2026-01-31T12:00:00Z");
    desk.site.platform.put("edge-1", &document).await;
    desk.report("edge-1", BUILT_IN).await;
    let converted = desk.shell.run(&["convert", "agent", "edge-1"]).await;
    converted.assert_ended(0);
    let path = desk.saved(&converted);
    let ran = desk.shell.run(&["apply", "--no-wait", "-f", &path]).await;
    ran.assert_ended(0);
    assert_eq!(ran.stdout, "agent/edge-1 configured (generation 8)\n");
    let entry = desk.entry("edge-1").await.unwrap();
    assert_eq!((&entry["kind"], &entry["schemaVersion"]), (&json!("Score"), &json!("0.1.1")));
    assert_eq!(entry["metadata"]["labels"], document["metadata"]["labels"]);
    assert_eq!(entry["spec"]["scores"][0]["with"], document["spec"]["resources"][0]["spec"]);

    // What is there already says the same again.
    let again = desk.shell.run(&["convert", "agents"]).await;
    again.assert_ended(0);
    let ran = desk.shell.run(&["apply", "--no-wait", "-f", &desk.saved(&again)]).await;
    assert_eq!(ran.stdout, "agent/edge-1 unchanged (generation 8)\n", "{ran:#?}");

    desk.report("edge-2", BUILT_IN).await;
    for (agent, said) in [("edge-2", "has no document"), ("edge-404", "is not known here")] {
        let ran = desk.shell.run(&["convert", "agent", "edge-1", agent]).await;
        ran.assert_ended(1);
        assert_eq!(ran.stdout, "", "{ran:#?}");
        assert!(ran.stderr.contains(&format!("agent/{agent} {said}")), "{ran:#?}");
    }
    desk.site.platform.put_bytes("edge-3", b"{\"command\": \"reboot\"}".to_vec()).await;
    let ran = desk.shell.run(&["convert", "agents"]).await;
    ran.assert_ended(2);
    assert_eq!(ran.stdout, "", "{ran:#?}");
    assert!(ran.stderr.contains("the entry of agent/edge-3: "), "{ran:#?}");
}

#[tokio::test]
async fn check_tells_of_each_device_whether_its_scores_would_change_anything() {
    let desk = Desk::start().await;
    let resources = [file("a", "/etc/a", "1"), file("b", "/etc/b", "2")];
    desk.device("edge-1", &resources).await;
    desk.report("edge-2", BUILT_IN).await;
    let ran = desk.shell.run(&["convert", "--check"]).await;
    ran.assert_ended(0);
    assert_eq!(
        ran.rows(),
        ["NAME PARITY RESOURCES READS-SCORES MESSAGE", "edge-1 Identical 2 yes", "edge-2 - - yes"]
    );

    desk.device("edge-3", &resources).await;
    desk.report("edge-3", &[]).await;
    let mut other = resources.clone();
    other[1]["spec"]["mode"] = json!("0600");
    let given = desk.shell.file(&[authored("edge-1", &resources), authored("edge-3", &other)]);
    let ran = desk.shell.run(&["convert", "--check", "-f", &given]).await;
    ran.assert_ended(3);
    assert_eq!(
        ran.rows()[1..],
        [
            "edge-1 Identical 2 yes",
            "edge-3 Different 2 no the device reads no Score, only AgentManifest",
            "b: mode is the default in the entry, \"0600\" in the Scores",
        ]
    );

    // Never seen, and not readable.
    desk.site.platform.put("edge-4", &manifest("edge-4", 1, &[])).await;
    desk.site.platform.put("edge-5", &manifest("edge-6", 1, &[])).await;
    desk.report("edge-5", BUILT_IN).await;
    // Changed since the device accepted it.
    desk.site.platform.put("edge-1", &manifest("edge-1", 2, &resources)).await;
    let ran = desk.shell.run(&["convert", "--check", "agents", "-o", "json"]).await;
    ran.assert_ended(1);
    let list: Value = serde_json::from_str(&ran.stdout).unwrap();
    let item =
        |name: &str| list["items"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap();
    assert_eq!(
        *item("edge-1"),
        json!({"name": "edge-1", "parity": "Identical", "resources": 2, "readsScores": true, "differences": [],
               "message": "the device has not accepted generation 2 yet"})
    );
    assert_eq!((&item("edge-2")["parity"], &item("edge-2")["readsScores"]), (&Value::Null, &json!(true)));
    assert_eq!(
        (&item("edge-3")["parity"], &item("edge-3")["readsScores"]),
        (&json!("Identical"), &json!(false))
    );
    for (name, said) in [("edge-4", "never published a status"), ("edge-5", "is for edge-6")] {
        assert_eq!(item(name)["parity"], "Unknown", "{name}");
        assert!(item(name)["message"].as_str().unwrap().contains(said), "{:#}", item(name));
    }

    // What cannot be judged outweighs what differs.
    let given = desk.shell.file(&[authored("edge-3", &other), authored("edge-4", &[])]);
    desk.shell.run(&["convert", "--check", "-f", &given]).await.assert_ended(1);
    desk.shell.run(&["convert", "--check", "agent/edge-3"]).await.assert_ended(0);
    desk.shell.run(&["convert", "--check", "agent/edge-404"]).await.assert_ended(1);
}

#[tokio::test]
async fn check_renders_scores_with_the_facts_that_each_device_publishes() {
    let desk = Desk::start().await;
    let rendered =
        |agent: &str, content: &str| (agent.to_owned(), [file("app-main", "/etc/app/main.conf", content)]);
    let devices =
        [rendered("edge-1", "host-of-edge-1 at north\n"), rendered("edge-2", "host-of-edge-1 at north\n")];
    let mut given = Vec::new();
    for (agent, resources) in &devices {
        desk.device(agent, resources).await;
        let with = json!({"folder": "/etc/app", "values": {"site": "north"}, "files": [
            {"name": "main", "path": "main.conf", "template": "{{ facts.hostname }} at {{ values.site }}\n"}]});
        let mut document = scores(agent, 1, &[score("ConfigSet", "app", &with)]);
        document["metadata"].as_object_mut().unwrap().remove("generation");
        given.push(document);
    }
    let ran = desk.shell.run(&["convert", "--check", "-f", &desk.shell.file(&given)]).await;
    ran.assert_ended(3);
    let lines = ran.rows();
    assert_eq!(lines[1..3], ["edge-1 Identical 1 yes", "edge-2 Different 1 yes"], "{ran:#?}");
    assert!(lines[3].starts_with("app-main: content is \"sha256:"), "{ran:#?}");
    assert_eq!(lines.len(), 4, "{ran:#?}");
}

#[tokio::test]
async fn apply_refuses_before_writing_what_a_device_says_it_could_not_accept() {
    let desk = Desk::start().await;
    desk.report("edge-1", BUILT_IN).await;
    desk.report(
        "edge-2",
        &[
            "ConfigSet@0.1.0",
            "Container@0.1.0",
            "ContainerApp@0.1.0",
            "File@0.1.0",
            "Process@0.1.0",
            "ServiceApp@0.1.0",
            "ShellJob@0.1.0",
            "SystemdUnit@0.1.0",
            "Tea@0.3.1",
        ],
    )
    .await;
    let document = |agent: &str, entry: &Value| json!({"apiVersion": "harmony/v1", "kind": "Score", "metadata": {"name": agent}, "spec": {"scores": [entry]}});
    let tea = score("Tea", "t", &json!({"sugar": 2}));
    let tea = json!({"score": "Tea", "version": "0.3.0", "name": "t", "with": tea["with"]});
    // No device publishes its kernel here.
    let template = json!({"folder": "/etc/app", "values": {}, "files": [
        {"name": "main", "path": "main.conf", "template": "{{ facts.kernel }}"}]});
    let kernel = score("ConfigSet", "app", &template);
    for (entry, said) in [
        (&tea, "/spec/scores/0: no Score is named \"Tea\""),
        (&kernel, "/spec/scores/0/with/files/0/template: "),
    ] {
        let path = desk.shell.file(&[document("edge-1", entry), document("edge-2", &tea)]);
        let ran = desk.shell.run(&["validate", "-f", &path]).await;
        ran.assert_ended(0);
        assert!(ran.stdout.contains("valid as far as can be told here; "), "{ran:#?}");
        assert!(ran.stdout.contains("Tea ^0.3.0 (/spec/scores/0)"), "{ran:#?}");
        let ran = desk.shell.run(&["apply", "--no-wait", "-f", &path]).await;
        ran.assert_ended(2);
        assert!(ran.stderr.contains(&format!("(agent/edge-1): {said}")), "{ran:#?}");
        assert!(!ran.stderr.contains("(agent/edge-2)"), "{ran:#?}");
        assert_eq!((desk.entry("edge-1").await, desk.entry("edge-2").await), (None, None));
    }
    // The device that has the Score gets it, though it is not known here.
    let path = desk.shell.file(&[document("edge-2", &tea)]);
    desk.shell.run(&["apply", "--no-wait", "-f", &path]).await.assert_ended(0);
    desk.shell.run(&["diff", "-f", &path]).await.assert_ended(0);
    // An entry of Scores is its own conversion, whatever they come to.
    let ran = desk.shell.run(&["convert", "--check", "agent/edge-2"]).await;
    ran.assert_ended(0);
    assert!(ran.stdout.contains("Identical") && ran.stdout.contains("Tea ^0.3.0"), "{ran:#?}");
}

//! `harmonyctl secret seal`, and what `harmonyctl` shows of what is sealed.

use serde_json::Value;
use tempfile::NamedTempFile;
use tests::{
    document::{authored, process},
    harmonyctl::Harmonyctl,
    site::{Access, DEVICE, Site},
};

use super::{SECRET, environment, key_of, sealed, sealed_file, with_variable};
use crate::status_words::converged_at;

fn in_file(text: &str) -> (NamedTempFile, String) {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[tokio::test]
async fn what_it_prints_is_pasted_into_a_document_and_opens_on_the_device() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let to = key_of(&device).await;
    site.device_was_seen().await;
    let shell = Harmonyctl::new(site.server.url());
    let (_file, path) = in_file(SECRET);
    let of_status = shell.run(&["secret", "seal", "--agent", DEVICE, "--from-file", &path]).await;
    assert_eq!(of_status.code, Some(0), "{of_status:?}");
    assert!(of_status.stderr.contains(to.as_str()), "it says which key it found: {of_status:?}");
    let nowhere = Harmonyctl::new("nats://127.0.0.1:1");
    let by_hand =
        nowhere.run(&["secret", "seal", "--to", to.as_str(), "--from-file", &path, "-o", "yaml"]).await;
    assert_eq!((by_hand.code, by_hand.stderr.as_str()), (Some(0), ""), "no server is asked");

    let file = sealed_file("conf", "/etc/app.conf", &serde_json::from_str(&of_status.stdout).unwrap());
    let document = authored(DEVICE, &[file]).to_string().replace("\"kind\":\"File\"", "\"kind\": \"File\"");
    // As somebody pastes it: below the key, indented.
    let pasted = format!(
        "apiVersion: harmony/v1\nkind: AgentManifest\nmetadata: {{name: {DEVICE}}}\nspec:\n  resources:\n  - name: web\n    \
         kind: Process\n    spec:\n      command: [sleep, infinity]\n      env:\n        TOKEN:\n{}\n  - {}\n",
        by_hand
            .stdout
            .trim_end()
            .lines()
            .map(|line| format!("          {line}"))
            .collect::<Vec<_>>()
            .join("\n"),
        serde_json::from_str::<Value>(&document).unwrap()["spec"]["resources"][0]
    );
    let (_manifest, path) = in_file(&pasted);
    let applied = shell.run(&["apply", "-f", &path]).await;
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert_eq!(device.read("/etc/app.conf"), SECRET);
    assert!(environment(device.process("web").pid).contains(&format!("TOKEN={SECRET}\n")));

    let described = shell.run(&["describe", "agent", DEVICE]).await;
    assert!(described.stdout.contains(to.as_str()), "{described:?}");
    let (_, printed) = device.command(&["status"]).await;
    assert!(printed.contains(to.as_str()), "{printed}");
}

#[tokio::test]
async fn the_difference_between_two_boxes_is_shown_as_sealed() {
    let site = Site::start(Access::Open).await;
    let mut device = site.device();
    device.start();
    let to = key_of(&device).await;
    let web =
        |secret: &str| [with_variable(process("web", &["sleep", "infinity"]), "TOKEN", &sealed(secret, &to))];
    site.platform.put(DEVICE, &site.document(1, &web(SECRET))).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let shell = Harmonyctl::new(site.server.url());
    let differing = shell.run(&["diff", "-f", &shell.file(&[authored(DEVICE, &web("another"))])]).await;
    assert_eq!(differing.code, Some(3), "{differing:?}");
    let (secrets, shown) = (web("another")[0]["spec"]["env"]["TOKEN"].clone(), differing.stdout);
    assert!(
        shown.contains("<sealed>") && !shown.contains(secrets["sealed"]["box"].as_str().unwrap()),
        "{shown}"
    );
}

#[tokio::test]
async fn what_cannot_be_sealed_is_said_and_nothing_is_printed() {
    let site = Site::start(Access::Open).await;
    let shell = Harmonyctl::new(site.server.url());
    let ((_one, secret), (_two, empty)) = (in_file(SECRET), in_file(""));
    let key = "XCHUBRNNW2HSKYSK4WZBJ2TWPJXMSTMCTU6XWXQ22G5G6PRBHAUF76G7";
    let mistyped = "XCHUBRNNW2HSKYSK4WZBJ2TWPJXMSTMCTU6XWXQ22G5G6PRBHAUF76G6";
    for (arguments, code, said) in [
        (&["--from-file", &secret][..], 2, "--agent"),
        (&["--to", mistyped, "--from-file", &secret], 2, "check sum"),
        (&["--to", "UABC", "--from-file", &secret], 2, "no key to seal to"),
        (&["--to", key, "--from-file", &empty], 2, "empty"),
        (&["--to", key, "--from-file", "/no/such/file"], 2, "cannot read"),
        (&["--agent", "edge-9999", "--from-file", &secret], 1, "not known here"),
    ] {
        let ran = shell.run(&[&["secret", "seal"], arguments].concat()).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
        assert!(ran.stderr.contains(said) && !ran.stderr.contains(SECRET), "{ran:?}");
    }
    let (_three, line) = in_file("hunter2\n");
    let noted = shell.run(&["secret", "seal", "--to", key, "--from-file", &line]).await;
    assert_eq!(noted.code, Some(0));
    assert!(noted.stderr.contains("line feed"), "{noted:?}");
}

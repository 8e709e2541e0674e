//! What does not open is refused by name before anything of its document is done.

use serde_json::{Value, json};
use tests::{
    document::{file, process},
    site::{Access, DEVICE, Site},
};

use super::{SECRET, key_of, refusal, sealed, sealed_file, with_variable};
use crate::status_words::{accepted, converged_at, refused};

/// Of any other device.
const FOREIGN: &str = "XCHUBRNNW2HSKYSK4WZBJ2TWPJXMSTMCTU6XWXQ22G5G6PRBHAUF76G7";

/// A box with one bit of it altered.
fn damaged(mut value: Value) -> Value {
    let text = value["sealed"]["box"].as_str().unwrap().to_owned();
    let last = if text.ends_with('A') { "B" } else { "A" };
    // In the middle: the end may be padding.
    let middle = text.len() / 2;
    value["sealed"]["box"] = json!([&text[..middle], last, &text[middle + 1..]].concat());
    value
}

#[tokio::test]
async fn a_document_with_a_box_that_does_not_open_is_refused_whole_by_resource_and_remedy() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device();
    device.start();
    let to = key_of(&device).await;
    let good = [
        sealed_file("conf", "/etc/app.conf", &sealed(SECRET, &to)),
        with_variable(process("web", &["sleep", "infinity"]), "TOKEN", &sealed(SECRET, &to)),
    ];
    site.platform.put(DEVICE, &site.document(1, &good)).await;
    site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    let pid = device.process("web").pid;

    let foreign = sealed(SECRET, &FOREIGN.parse().unwrap());
    let not_text = sealed("a\0b", &to);
    for (generation, value, named) in [
        (2, foreign, vec![FOREIGN.to_owned(), format!("harmonyctl secret seal --to {to}")]),
        (3, damaged(sealed(SECRET, &to)), vec!["altered or cut off".to_owned(), "seal it anew".to_owned()]),
        (4, not_text, vec!["NUL".to_owned()]),
    ] {
        let resources = [
            file("fine", "/etc/fine", "new"),
            sealed_file("conf", "/etc/app.conf", &sealed("another", &to)),
            with_variable(process("web", &["sleep", "infinity"]), "TOKEN", &value),
        ];
        let revision = site.platform.put(DEVICE, &site.document(generation, &resources)).await;
        let status = site.platform.status_where(DEVICE, "refused", refused(revision, "Invalid")).await;
        let message = refusal(&status);
        assert!(message.contains("Process \"web\": env TOKEN: "), "{message}");
        assert!(named.iter().all(|word| message.contains(word)), "{message} does not name {named:?}");
        assert_eq!(accepted(&status), Some(1));
        assert_eq!(device.read("/etc/app.conf"), SECRET, "nothing of a refused document is done");
        assert!(!device.path("/etc/fine").exists());
        assert_eq!(device.process("web").pid, pid);
    }

    let mut open = sealed_file("conf", "/etc/app.conf", &sealed(SECRET, &to));
    open["spec"]["mode"] = json!("0644");
    let revision = site.platform.put(DEVICE, &site.document(5, &[open])).await;
    let status = site.platform.status_where(DEVICE, "refused", refused(revision, "Invalid")).await;
    assert!(refusal(&status).contains("/spec/resources/0/spec/mode"), "{}", refusal(&status));
    site.assert_nothing_was_forbidden();
}

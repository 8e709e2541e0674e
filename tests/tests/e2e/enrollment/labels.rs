//! Labels, and what of `agents` a server without an operator can do.

use nkeys::KeyPair;
use serde_json::Value;
use tests::{
    harmonyctl::Harmonyctl,
    site::{Access, DEVICE, Site},
};

use super::newcomer::request;

#[tokio::test]
async fn labels_are_set_removed_and_overwritten_as_kubectl_does_and_the_rest_of_the_entry_stays() {
    let site = Site::start(Access::Open).await;
    let harmonyctl = Harmonyctl::new(site.server.url());
    let ran = async |words: &[&str]| harmonyctl.run(&[&["agents"], words].concat()).await;
    let entry = async || {
        let entry = site.platform.entry("agents", DEVICE).await.unwrap().unwrap();
        serde_json::from_slice::<Value>(&entry.value).unwrap()
    };
    for words in [&["label", DEVICE, "site=bern"][..], &["label", DEVICE, "site-"]] {
        let misspelt = ran(words).await;
        assert_eq!((misspelt.code, misspelt.stdout.as_str()), (Some(1), ""), "{misspelt:?}");
        let refusal = format!("agent/{DEVICE} is not known here");
        assert!(
            misspelt.stderr.contains(&refusal) && misspelt.stderr.contains("--in-advance"),
            "{misspelt:?}"
        );
    }
    assert_eq!(site.platform.entry("agents", DEVICE).await.unwrap().map(|entry| entry.revision), None);
    let in_advance = ran(&["label", DEVICE, "site=bern", "ring=canary", "--in-advance"]).await;
    assert_eq!(in_advance.code, Some(0), "{in_advance:?}");
    let mut written = entry().await;
    assert_eq!(written["labels"], serde_json::json!({"site": "bern", "ring": "canary"}));
    assert_eq!(written["state"], "Pending");
    written["note"] = "by hand".into();
    let subject = format!("$KV.agents.{DEVICE}");
    site.platform.jetstream.publish(subject, written.to_string().into()).await.unwrap().await.unwrap();

    let refused = ran(&["label", DEVICE, "ring=stable"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("--overwrite"), "{refused:?}");
    assert_eq!(ran(&["label", DEVICE, "ring=stable", "site-", "--overwrite"]).await.code, Some(0));
    let written = entry().await;
    assert_eq!(written["labels"], serde_json::json!({"ring": "stable"}));
    assert_eq!(written["note"], "by hand", "{written}");
    assert!(ran(&["list"]).await.stdout.contains("ring=stable"));
    assert_eq!(ran(&["list", "-o", "name"]).await.stdout, format!("agent/{DEVICE}\n"));
    assert!(ran(&["describe", DEVICE]).await.stdout.contains("ring=stable"));
    for (wrong, words) in [
        (&["label", DEVICE][..], "required"),
        (&["label", DEVICE, "a b=c"], "no key of a label"),
        (&["label", DEVICE, "a--"], "no key of a label"),
        (&["label", DEVICE, "-"], "no key of a label"),
        (&["label", "*", "a=b"], "*"),
        (&["label", "", "a=b"], "agent id"),
        (&["label", "agent/", "a=b"], "agent id"),
        (&["label", "edge-", "a=b"], "agent/ID"),
        (&["label", DEVICE, "agent/edge-"], "say what to set"),
    ] {
        let refused = ran(wrong).await;
        assert_eq!(refused.code, Some(2), "{wrong:?}");
        assert!(refused.stderr.contains(words), "{wrong:?}: {refused:?}");
    }
    assert_eq!(ran(&["label", "agent/edge-", "a=b", "--in-advance"]).await.stdout, "agent/edge- labeled\n");
    assert_eq!(ran(&["retire", "edge-"]).await.code, Some(0));

    // It never had a key, so it ends without the operator's folder, which nothing else does.
    for needs_the_folder in [&["approve", DEVICE][..], &["revoke", DEVICE], &["replace", DEVICE]] {
        let refused = ran(needs_the_folder).await;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains("--operator"), "{refused:?}");
    }
    assert_eq!(ran(&["retire", DEVICE]).await.code, Some(0));
    assert_eq!(entry().await["state"], "Retired");
}

#[tokio::test]
async fn a_device_is_labelled_of_which_anything_is_known() {
    let site = Site::start(Access::Open).await;
    let harmonyctl = Harmonyctl::new(site.server.url());
    let key = KeyPair::new_user();
    let (subject, request) = request("edge-0002", "edge-0002", &key, &key);
    for (id, subject, message) in [
        ("edge-0001", "$KV.desired-state.edge-0001".to_owned(), site.document(1, &[]).to_string()),
        ("edge-0002", subject, request),
        ("edge-0003", "$KV.agent-heartbeat.edge-0003".to_owned(), "{}".to_owned()),
        ("edge-0004", "$KV.actual-state.edge-0004".to_owned(), "{}".to_owned()),
    ] {
        site.platform.jetstream.publish(subject, message.into()).await.unwrap().await.unwrap();
        let labelled = harmonyctl.run(&["agents", "label", id, "site=bern"]).await;
        assert_eq!(labelled.stdout, format!("agent/{id} labeled\n"), "{labelled:?}");
    }
    let misspelt = harmonyctl.run(&["agents", "label", "edge-004", "site=bern"]).await;
    assert_eq!(misspelt.code, Some(1), "{misspelt:?}");
    assert!(misspelt.stderr.contains("did you mean \"edge-0004\"?"), "{misspelt:?}");
}

use serde_json::json;

use super::*;
use crate::{
    authoring::read_documents,
    dispatcher::Formats,
    fakes::{FakeFormat, FakeReconciler, device},
    signing::SecretKey,
};

/// Runs these documents one after the other on one state folder, and gives the generation in
/// force after the last, if that one converged.
async fn run(metadata: &[serde_json::Value]) -> Option<u64> {
    let (fake, folder) = (FakeReconciler::default(), tempfile::tempdir().unwrap());
    let mut last = None;
    for metadata in metadata {
        let text =
            json!({"apiVersion": "harmony/v1", "kind": "Fake", "metadata": metadata, "spec": {"/a": "1"}});
        let document = read_documents(&text.to_string(), "f").unwrap().remove(0);
        let device = device(&fake, &folder, Formats::none().with(FakeFormat), None);
        let outcome = reconcile(device, &document, "1.0.0", futures_util::stream::pending()).await;
        let generation = outcome.status.accepted.map(|accepted| accepted.generation.get());
        last = generation.filter(|_| outcome.converged);
    }
    last
}

#[tokio::test]
async fn a_document_without_a_generation_gets_the_next_one_unless_it_says_nothing_new() {
    let plain = json!({"name": "edge-1"});
    let labelled = json!({"name": "edge-1", "labels": {"a": "b"}});
    assert_eq!(run(std::slice::from_ref(&plain)).await, Some(1));
    assert_eq!(run(&[plain.clone(), plain.clone()]).await, Some(1));
    assert_eq!(run(&[plain.clone(), labelled]).await, Some(2));
    assert_eq!(run(&[plain.clone(), json!({"name": "edge-1", "generation": 9})]).await, Some(9));
    assert_eq!(run(&[json!({"name": "edge-1", "generation": 9}), plain]).await, Some(9));
}

#[tokio::test]
async fn what_is_malformed_is_refused_whatever_was_in_force_before() {
    let good = json!({"name": "edge-1", "generation": 1});
    for bad in [
        json!({"name": "edge-1", "generation": "bad"}),
        json!({"name": "edge-1", "generation": 0}),
        json!({"name": "edge-1", "generation": 1.5}),
        json!({"name": "edge-1", "issuedAt": 5}),
    ] {
        assert_eq!(run(&[good.clone(), bad.clone()]).await, None, "{bad}");
    }
}

#[tokio::test]
async fn a_signed_document_in_force_that_says_the_same_is_kept_as_it_was_signed() {
    let (fake, folder) = (FakeReconciler::default(), tempfile::tempdir().unwrap());
    let formats = || Formats::none().with(FakeFormat);
    let text = json!({"apiVersion": "harmony/v1", "kind": "Fake", "metadata": {"name": "edge-1"}, "spec": {"/a": "1"}});
    let document = read_documents(&text.to_string(), "f").unwrap().remove(0);
    let mut platforms = device(&fake, &folder, formats(), None);
    platforms.go_without_floor();
    let payload = document.complete(&Completion {
        schema_version: "1.0.0".to_owned(),
        generation: 7_u64.try_into().unwrap(),
        issued_at: platforms.now(),
    });
    let signed = Sealed::seal(&payload, &SecretKey::generate().unwrap());
    platforms.take_entry(DesiredValue::Some { revision: 1, raw: signed.clone() });
    platforms.pass(|| false, |_| ()).await;
    assert_eq!(platforms.ledger().accepted.as_ref().map(|accepted| accepted.generation.get()), Some(7));
    drop(platforms);

    let again = device(&fake, &folder, formats(), None);
    let outcome = reconcile(again, &document, "1.0.0", futures_util::stream::pending()).await;
    assert_eq!((outcome.refused, outcome.converged), (None, true));
    assert_eq!(
        outcome.status.accepted.map(|accepted| accepted.generation.get()),
        Some(7),
        "it said nothing new"
    );
    let after = device(&fake, &folder, formats(), None);
    assert_eq!(after.ledger().accepted.as_ref().map(|accepted| &*accepted.raw), Some(&*signed));
}

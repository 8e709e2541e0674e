use serde_json::json;

use super::*;
use crate::{
    authoring::read_documents,
    dispatcher::Formats,
    fakes::{FakeFormat, FakeReconciler, device},
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

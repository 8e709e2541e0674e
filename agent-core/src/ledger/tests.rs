use std::fs;

use agent_model::{
    Digest, Generation, Timestamp,
    status::{NotReady, ResourceState, RolledBack},
};
use tempfile::TempDir;

use super::*;
use crate::{audit::Head, envelope::HighWaterMark};

fn agent() -> AgentId {
    "edge-1".parse().unwrap()
}

fn load(folder: &TempDir) -> Loaded {
    Ledger::load(&StateLayout::of(folder.path()), &agent()).unwrap()
}

fn with_generation(body: &LedgerBody, number: u64) -> LedgerBody {
    let generation = Generation::try_from(number).unwrap();
    let highest = HighWaterMark { generation, digest: Some(Digest::of_bytes(&number.to_be_bytes())) };
    LedgerBody { highest: Some(highest), needs_floor: false, ..body.clone() }
}

/// A folder whose ledger says generation 2, and whose previous copy says 1.
fn two_generations() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = load(&folder).ledger;
    for number in [1, 2] {
        let body = with_generation(ledger.body(), number);
        ledger.commit(body).unwrap();
    }
    folder
}

fn highest(loaded: &Loaded) -> Option<u64> {
    loaded.ledger.body().highest.map(|highest| highest.generation.get())
}

fn names(folder: &TempDir, part: &str) -> usize {
    fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(part))
        .count()
}

#[test]
fn what_was_committed_is_read_back_and_leaves_no_temporary_file() {
    let folder = two_generations();
    let loaded = load(&folder);
    assert_eq!((highest(&loaded), &loaded.provenance), (Some(2), &Provenance::Intact));
    assert!(!loaded.ledger.body().needs_floor);
    assert_eq!(names(&folder, "tmp"), 0);
}

#[test]
fn a_new_device_must_ask_for_the_floor_first() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = load(&folder);
    assert_eq!(loaded.provenance, Provenance::New);
    assert!(loaded.ledger.body().needs_floor);
}

#[test]
fn a_damaged_ledger_is_set_aside_and_its_previous_copy_used_with_the_floor_to_be_asked() {
    let whole = fs::read(two_generations().path().join("ledger.json")).unwrap();
    let mut altered = whole.clone();
    let place = altered.windows(7).position(|w| w == b"highest").unwrap();
    altered[place] = b'H';
    for damage in [&whole[..whole.len() / 2], &altered, b"garbage", b""] {
        let folder = two_generations();
        fs::write(folder.path().join("ledger.json"), damage).unwrap();
        let loaded = load(&folder);
        assert_eq!(highest(&loaded), Some(1));
        assert!(loaded.ledger.body().needs_floor);
        assert!(matches!(loaded.provenance, Provenance::Recovered { .. }));
        assert_eq!(names(&folder, "damaged"), 1);
    }
}

#[test]
fn with_both_copies_damaged_the_device_begins_anew_and_deletes_neither() {
    let folder = two_generations();
    for name in ["ledger.json", "ledger.previous.json"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let loaded = load(&folder);
    assert_eq!(highest(&loaded), None);
    let Provenance::Recovered { message } = loaded.provenance else { panic!("not recovered") };
    assert!(
        message.contains("began anew") && message.contains("previous copy was unusable too"),
        "{message}"
    );
    assert_eq!(names(&folder, "damaged"), 2);
}

/// The same folder, whose ledger a newer agent wrote last, in a form of its own.
fn of_a_newer_agent() -> TempDir {
    let folder = two_generations();
    let path = folder.path().join("ledger.json");
    let newer = fs::read_to_string(&path).unwrap().replace("\"version\":1", "\"version\":2");
    fs::write(path, newer).unwrap();
    folder
}

#[test]
fn in_place_of_a_ledger_of_a_newer_agent_no_older_copy_is_used_at_this_start_or_the_next() {
    let folder = of_a_newer_agent();
    let loaded = load(&folder);
    assert_eq!((highest(&loaded), loaded.ledger.body().needs_floor), (None, true));
    let Provenance::Recovered { message } = loaded.provenance else { panic!("not recovered") };
    for told in ["it is of version 2", "ledger.damaged-2.json; began anew", "ledger.damaged-1.json"] {
        assert!(message.contains(told), "{told} is not in {message}");
    }
    assert_eq!(highest(&load(&folder)), None);
    assert_eq!(names(&folder, "damaged"), 2);
}

#[test]
fn the_owner_of_a_ledger_of_a_newer_agent_is_not_told_without_saying_so() {
    let layout = StateLayout::of(two_generations().path());
    assert_eq!(Ledger::owner(&layout).unwrap(), None, "it is gone");
    let folder = of_a_newer_agent();
    let error = Ledger::owner(&StateLayout::of(folder.path())).unwrap_err();
    assert!(error.to_string().contains("a newer agent wrote it"), "{error}");
    assert_eq!(names(&folder, "damaged"), 0);
}

#[test]
fn a_missing_ledger_is_recovered_from_its_previous_copy() {
    let folder = two_generations();
    fs::remove_file(folder.path().join("ledger.json")).unwrap();
    let loaded = load(&folder);
    assert_eq!(highest(&loaded), Some(1));
    assert!(matches!(loaded.provenance, Provenance::Recovered { .. }));
}

#[test]
fn only_so_many_damaged_ledgers_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..12 {
        fs::write(folder.path().join("ledger.json"), "x").unwrap();
        load(&folder);
    }
    assert_eq!(names(&folder, "damaged"), 8);
}

#[test]
fn another_agents_folder_is_refused_untouched_also_where_its_ledger_cannot_be_read() {
    let other: AgentId = "edge-2".parse().unwrap();
    let altered = |folder: &TempDir| {
        let path = folder.path().join("ledger.json");
        let text = fs::read_to_string(&path).unwrap().replace("\"highest\"", "\"hIghest\"");
        fs::write(path, text).unwrap();
    };
    let whole = two_generations();
    let damaged = two_generations();
    altered(&damaged);
    let gone = two_generations();
    fs::remove_file(gone.path().join("ledger.json")).unwrap();
    for folder in [whole, damaged, gone, of_a_newer_agent()] {
        let error = Ledger::load(&StateLayout::of(folder.path()), &other).unwrap_err();
        assert!(error.to_string().contains("belongs to the agent edge-1"), "{error}");
        assert_eq!(names(&folder, "damaged"), 0);
    }
}

#[test]
fn a_commit_that_fails_changes_nothing_and_a_record_that_fails_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = load(&folder).ledger;
    let one = with_generation(ledger.body(), 1);
    ledger.commit(one.clone()).unwrap();
    // A folder in the place of the temporary file makes every write fail, for root too.
    let obstacle = folder.path().join("ledger.tmp");
    fs::create_dir_all(obstacle.join("x")).unwrap();
    assert!(ledger.commit(with_generation(&one, 2)).is_err());
    assert_eq!(ledger.body(), &one);
    assert!(ledger.record(with_generation(&one, 3)).is_err());
    fs::remove_dir_all(&obstacle).unwrap();
    let same = ledger.body().clone();
    ledger.record(same).unwrap();
    assert_eq!(highest(&load(&folder)), Some(3));
}

#[test]
fn the_ledger_of_an_agent_without_an_audit_log_is_read_and_its_count_of_events_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let before = include_bytes!("fixtures/before-the-audit-log.json");
    fs::write(folder.path().join("ledger.json"), before).unwrap();
    let mut loaded = load(&folder);
    assert_eq!((highest(&loaded), &loaded.provenance), (Some(3), &Provenance::Intact));
    assert_eq!(loaded.ledger.body().audit_head(), Head { seq: 41, hash: None });
    // That agent finds its count where it left it, should it come back.
    let body = loaded.ledger.body().clone().with_audit_head(Head { seq: 43, hash: None });
    loaded.ledger.commit(body).unwrap();
    let written: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("ledger.json")).unwrap()).unwrap();
    assert_eq!(written["body"]["eventSeq"], 43);
}

/// Ledgers as released agents wrote them. None is ever altered: a form that is new gets a file of its own.
const RELEASED: [(&str, &str); 2] = [
    ("before-the-audit-log.json", include_str!("fixtures/before-the-audit-log.json")),
    ("1.0.json", include_str!("fixtures/1.0.json")),
];

/// The SHA-256 of each, never to be updated.
const DIGESTS: [&str; 2] = [
    "ef8c0abcbce62c3c55447eaba9346a18d1e23eea78a9d5a40b3713e01edf6795",
    "e8d0390f070c3861f8753a7ffad974a8493d0dfe478c1e1b29ee1c0a8eb78d91",
];

#[test]
fn released_ledgers_stay_as_they_are_to_the_byte() {
    let found = RELEASED.map(|(_, text)| Digest::of_bytes(text.as_bytes()).hex());
    assert_eq!(found, DIGESTS);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ledger/fixtures");
    assert_eq!(fs::read_dir(folder).unwrap().count(), RELEASED.len());
}

fn loaded_from(text: &str) -> (TempDir, Loaded) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ledger.json"), text).unwrap();
    let loaded = load(&folder);
    assert_eq!(loaded.provenance, Provenance::Intact);
    (folder, loaded)
}

#[test]
fn a_released_ledger_is_known_in_full_and_all_of_it_is_written_again() {
    for (name, text) in RELEASED {
        let (folder, mut loaded) = loaded_from(text);
        let body = loaded.ledger.body().clone();
        let accepted = body.accepted.iter().map(|accepted| &accepted.unknown);
        let applied = body.applied.iter().map(|applied| &applied.unknown);
        let claims = body.inventory.values().map(|entry| &entry.unknown);
        let unknown: Vec<_> = [&body.unknown, &*body.unknown_claims]
            .into_iter()
            .chain(accepted)
            .chain(applied)
            .chain(claims)
            .flatten()
            .collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");

        loaded.ledger.commit(body).unwrap();
        let [written, released] =
            [fs::read_to_string(folder.path().join("ledger.json")).unwrap(), text.to_owned()]
                .map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap()["body"].take());
        for (key, value) in released.as_object().unwrap() {
            assert_eq!(&written[key], value, "{name}: {key}");
        }
    }
}

#[test]
fn what_a_ledger_of_1_0_says_is_what_it_always_said() {
    let (_folder, loaded) = loaded_from(RELEASED[1].1);
    let body = loaded.ledger.body();
    assert_eq!((body.highest.unwrap().generation.get(), body.writer_epoch, body.needs_floor), (7, 12, false));
    assert_eq!(body.audit_head(), Head { seq: 41, hash: Some(Digest::of_bytes(b"line 41")) });

    let accepted = body.accepted.as_ref().unwrap();
    assert_eq!((accepted.generation.get(), Some(accepted.digest)), (7, body.highest.unwrap().digest));
    assert_eq!(accepted.digest, Digest::of_bytes(&accepted.raw));
    assert_eq!((&*accepted.kind, &*accepted.schema_version), ("AgentManifest", "1.0.0"));
    assert_eq!(accepted.issued_at.unwrap().to_string(), "2026-11-26T02:00:00Z");
    assert_eq!(accepted.signer.unwrap().to_string(), "5c3f8a0d1e2b4c6f5c3f8a0d1e2b4c6f");
    let applied = body.applied.as_ref().unwrap();
    assert_eq!((applied.generation.get(), applied.at.to_string()), (6, "2026-11-25T10:00:00Z".to_owned()));

    let claims: Vec<String> = body.inventory.keys().map(ToString::to_string).collect();
    assert_eq!(
        claims,
        ["Container:broker", "File:/etc/a", "Process:app", "ShellJob:once", "SystemdUnit:a.service"]
    );
    let entry = &body.inventory[&"Process:app".parse().unwrap()];
    assert_eq!(
        (entry.name.as_str(), &entry.depends_on.known[..]),
        ("app", &["File:/etc/a".parse().unwrap()][..])
    );
    assert_eq!((entry.changes, entry.drift_corrections, entry.restarts), (2, 0, 3));
    let wanted = Some(Digest::of_bytes(b"app"));
    assert_eq!((entry.applied_digest, entry.altering, entry.restarting), (None, wanted, true));
    assert_eq!(entry.record["run"], "0d3c6f0e-6d1f-4d0e-9e63-0d5d0e7f3f11");
}

#[test]
fn what_an_agent_wrote_that_knew_nothing_of_going_back_is_read_and_kept_as_small() {
    let folder = two_generations();
    let text = fs::read_to_string(folder.path().join("ledger.json")).unwrap();
    for later in ["fallback", "trial", "rolledBack"] {
        assert!(!text.contains(later), "{later} is written where there is none: {text}");
    }
    let body = load(&folder).ledger.body().clone();
    assert_eq!((body.way_back(), body.running_trial(), body.gone_back_from()), (None, None, None));
}

/// A ledger in which generation 2 has 60 s, or was gone back from, to generation 1.
fn in_trial() -> [LedgerBody; 2] {
    let document = |number: u64| AcceptedDocument {
        generation: Generation::try_from(number).unwrap(),
        digest: Digest::of_bytes(&number.to_be_bytes()),
        kind: "AgentManifest".to_owned(),
        schema_version: "1.1.0".to_owned(),
        issued_at: None,
        at: Timestamp::UNIX_EPOCH,
        signer: None,
        raw: [].into(),
        unknown: Unknown::new(),
    };
    let (now, minute) = (Timestamp::UNIX_EPOCH, Some(std::time::Duration::from_secs(60)));
    let mut body = LedgerBody::empty(agent()).succeeded_by(document(1), None, now, false);
    let AcceptedDocument { generation, digest, .. } = document(1);
    body.applied = Some(AppliedDocument { generation, digest, at: now, unknown: Unknown::new() });
    let trial = body.settled().succeeded_by(document(2), minute, now, false);
    let AcceptedDocument { generation, digest, .. } = document(2);
    let (reason, message) = ("DeadlineExceeded".to_owned(), String::new());
    let late = RolledBack { generation, digest, at: now, reason, message, resources: Vec::new() };
    [trial.clone(), trial.gone_back_to(document(1), late)]
}

#[test]
fn what_a_newer_agent_noted_of_a_document_holds_when_the_same_comes_with_its_first_signature() {
    let mut body = in_trial()[0].clone();
    let accepted = body.accepted.as_mut().unwrap();
    accepted.unknown.insert("later".to_owned(), 7.into());
    let signer = Some("5c3f8a0d1e2b4c6f5c3f8a0d1e2b4c6f".parse().unwrap());
    let signed = AcceptedDocument { signer, unknown: Unknown::new(), ..accepted.clone() };
    let after = body.succeeded_by(signed, None, Timestamp::UNIX_EPOCH, false).accepted.unwrap();
    assert_eq!((after.signer, &after.unknown["later"]), (signer, &7.into()));
}

#[test]
fn a_trial_and_its_end_are_read_back() {
    for body in in_trial() {
        let folder = tempfile::tempdir().unwrap();
        load(&folder).ledger.commit(body.clone()).unwrap();
        assert_eq!(load(&folder).ledger.body(), &body);
    }
    let [trial, gone_back] = in_trial();
    assert_eq!(trial.way_back().map(|document| document.generation.get()), Some(1));
    assert!(trial.running_trial().is_some() && trial.gone_back_from().is_none());
    assert_eq!(gone_back.gone_back_from().map(|late| late.generation.get()), Some(2));
    assert!(gone_back.way_back().is_none() && gone_back.running_trial().is_none());
}

#[test]
fn a_word_of_a_newer_agent_in_what_was_gone_back_from_keeps_no_ledger_from_being_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let [_, mut gone_back] = in_trial();
    let not_ready = |name: &str| NotReady {
        kind: "Process".to_owned(),
        name: name.to_owned(),
        state: ResourceState::Failed,
        reason: "CrashLoop".to_owned(),
        message: String::new(),
        log_tail: None,
    };
    gone_back.rolled_back.as_mut().unwrap().resources = vec![not_ready("a"), not_ready("b")];
    let mut body = serde_json::to_value(gone_back).unwrap();
    body["rolledBack"]["resources"][0]["state"] = "Levitating".into();
    let body = body.to_string();
    let checksum = Digest::of_bytes(body.as_bytes());
    let ledger = format!(r#"{{"version":1,"checksum":"{checksum}","body":{body}}}"#);
    fs::write(folder.path().join("ledger.json"), ledger).unwrap();

    let Loaded { mut ledger, provenance } = load(&folder);
    assert_eq!(provenance, Provenance::Intact);
    let body = ledger.body().clone();
    assert_eq!(body.gone_back_from().unwrap().resources, [not_ready("b")]);
    ledger.commit(body).unwrap();
}

#[test]
fn going_back_forgets_no_time_that_was_past_unless_only_the_old_document_was_signed() {
    let [trial, gone_back] = in_trial();
    let late = gone_back.rolled_back.unwrap();
    let time = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let (earlier, later) = (time("2026-02-01T00:00:00Z"), time("2026-03-01T00:00:00Z"));
    let key = crate::signing::SecretKey::generate().unwrap().public().id();
    for (old, new, signed, kept) in [
        (earlier, later, [None, None], later),
        (earlier, later, [Some(key), Some(key)], later),
        (earlier, later, [Some(key), None], earlier),
        (later, earlier, [None, None], later),
        (None, later, [None, None], later),
        (earlier, None, [None, None], earlier),
    ] {
        let of = |document: &AcceptedDocument, issued_at, signer| AcceptedDocument {
            issued_at,
            signer,
            ..document.clone()
        };
        let fallback = of(trial.fallback.as_ref().unwrap(), old, signed[0]);
        let accepted = Some(of(trial.accepted.as_ref().unwrap(), new, signed[1]));
        let body = LedgerBody { accepted, ..trial.clone() }.gone_back_to(fallback, late.clone());
        assert_eq!(body.accepted.unwrap().issued_at, kept);
    }
}

#[test]
fn what_an_agent_that_knew_nothing_of_it_carried_along_holds_no_longer() {
    // It put another document in force, and that one converged or did not.
    let AcceptedDocument { generation, .. } = in_trial()[0].accepted.clone().unwrap();
    let (generation, digest) = (generation.next().unwrap(), Digest::of_bytes(b"3"));
    for body in in_trial() {
        for converged in [true, false] {
            let mut body = body.clone();
            let accepted = body.accepted.take().unwrap();
            body.accepted = Some(AcceptedDocument { generation, digest, ..accepted });
            body.highest = Some(HighWaterMark { generation, digest: Some(digest) });
            if converged {
                let (at, unknown) = (Timestamp::UNIX_EPOCH, Unknown::new());
                body.applied = Some(AppliedDocument { generation, digest, at, unknown });
            }
            assert_eq!((body.running_trial(), body.gone_back_from()), (None, None));
            assert_eq!(body.way_back().is_some(), !converged && body.fallback.is_some());
        }
    }
}

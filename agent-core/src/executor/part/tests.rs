use agent_model::Retry;

use super::*;

const ALTERS: Effect = Effect { alters: true, restarts: false, concludes: None };
const STARTS_AGAIN: Effect = Effect { alters: true, restarts: true, concludes: None };
const BRINGS_BACK: Effect = Effect { alters: false, restarts: true, concludes: None };

/// Steps of that effect, none of which is ever done.
struct Steps(Effect);

#[async_trait::async_trait]
impl Work for Steps {
    fn effect(&self) -> Effect {
        self.0
    }

    fn summaries(&self) -> Vec<String> {
        vec!["do it".to_owned()]
    }

    fn effect_of(&self, step: usize) -> Option<Effect> {
        (step == 0).then_some(self.0)
    }

    async fn apply(&self, _step: usize) -> Result<(), Failure> {
        Ok(())
    }
}

/// One claim over several passes, as the ledger has it in between.
#[derive(Default)]
struct Claimed(Option<Arc<InventoryEntry>>);

impl Claimed {
    fn part(&self, wanted: &str) -> Part {
        let wanted = digest(wanted);
        let resource = DeclaredResource {
            claim: "Container:web".parse().unwrap(),
            name: "web".parse().unwrap(),
            spec: agent_model::FileSpec::new("/a".parse().unwrap(), "").into(),
            spec_digest: wanted,
            effective_digest: wanted,
            depends_on: Vec::new(),
        };
        Part::declared(&resource, wanted, self.0.as_ref())
    }

    /// Steps are begun, and then the power is cut or one of them fails.
    fn begin(&mut self, wanted: &str, effect: Effect) {
        let due = Due {
            intent: Some(record()),
            record: Some(record()),
            then: pending(),
            work: Arc::new(Steps(effect)),
        };
        self.0 = self.part(wanted).entry_before(&due);
    }

    /// All steps of a pass are done.
    fn take(&mut self, wanted: &str, effect: Effect, then: &Standing) {
        self.0 = Some(self.part(wanted).entry_after(record(), effect, then));
    }

    /// Changes, restarts and repairs.
    fn counts(&self) -> (u64, u64, u64) {
        let entry = self.0.as_ref().unwrap();
        (entry.changes, entry.restarts, entry.drift_corrections)
    }

    fn applied(&self) -> Option<Digest> {
        self.0.as_ref().unwrap().applied_digest
    }
}

fn digest(of: &str) -> Digest {
    Digest::of_bytes(of.as_bytes())
}

fn record() -> UntypedRecord {
    Arc::new("record".into())
}

fn pending() -> Standing {
    Standing::Pending { reason: "Starting".into(), message: String::new() }
}

fn failed() -> Standing {
    let retry = Retry::WhenSomethingChanges;
    Standing::Failed(Failure { retry, ..Failure::passing("NotStarted", "it does not start") })
}

/// One that runs as declared by `old`.
fn running() -> Claimed {
    let mut claimed = Claimed::default();
    claimed.take("old", ALTERS, &pending());
    claimed.take("old", Effect::NONE, &Standing::in_sync());
    assert_eq!((claimed.counts(), claimed.applied()), ((1, 0, 0), Some(digest("old"))));
    claimed
}

#[test]
fn what_did_not_start_is_no_change_and_not_applied_and_bringing_back_what_was_there_is_a_restart() {
    let mut claimed = running();
    claimed.begin("refused", STARTS_AGAIN);
    claimed.take("refused", BRINGS_BACK, &failed());
    assert_eq!((claimed.counts(), claimed.applied()), ((1, 1, 0), None));
    // It is left so, and what runs is declared again.
    claimed.take("old", Effect::NONE, &Standing::in_sync());
    assert_eq!((claimed.counts(), claimed.applied()), ((1, 1, 0), Some(digest("old"))));
}

#[test]
fn what_started_and_gave_way_later_is_a_change_a_restart_and_another_one_and_not_applied() {
    let mut claimed = running();
    claimed.take("refused", STARTS_AGAIN, &pending());
    assert_eq!(claimed.counts(), (2, 1, 0));
    claimed.take("refused", BRINGS_BACK, &failed());
    assert_eq!((claimed.counts(), claimed.applied()), ((2, 2, 0), None));
    // With another image it is tried once more, which is no repair.
    claimed.take("refused", STARTS_AGAIN, &pending());
    assert_eq!(claimed.counts(), (3, 3, 0));
}

#[test]
fn what_is_brought_back_in_two_tries_for_want_of_power_is_counted_once() {
    let mut claimed = running();
    claimed.begin("refused", STARTS_AGAIN);
    claimed.begin("refused", BRINGS_BACK);
    claimed.take("refused", BRINGS_BACK, &failed());
    assert_eq!((claimed.counts(), claimed.applied()), ((1, 1, 0), None));
}

#[test]
fn what_fails_is_not_applied_by_noting_that() {
    let mut claimed = running();
    claimed.take("other", Effect::NONE, &failed());
    assert_eq!((claimed.counts(), claimed.applied()), ((1, 0, 0), Some(digest("old"))));
}

#[test]
fn a_run_that_ended_badly_is_a_change_all_the_same_and_its_next_try_only_a_restart() {
    for is_cut_off in [false, true] {
        let mut claimed = Claimed::default();
        match is_cut_off {
            true => claimed.begin("job", ALTERS),
            false => claimed.take("job", ALTERS, &pending()),
        }
        claimed.take("job", Effect::NONE, &failed());
        // Whoever ended the agent in between.
        assert_eq!(claimed.applied(), Some(digest("job")), "cut off: {is_cut_off}");
        claimed.take("job", STARTS_AGAIN, &pending());
        assert_eq!(claimed.counts(), (1, 1, 0), "cut off: {is_cut_off}");
    }
}

#[test]
fn what_fails_to_start_counts_once_it_does_and_going_back_before_that_is_one_change() {
    let mut claimed = running();
    for _ in 0..3 {
        claimed.begin("new", STARTS_AGAIN);
        assert_eq!((claimed.counts(), claimed.applied()), ((1, 0, 0), None));
    }
    claimed.take("new", STARTS_AGAIN, &pending());
    assert_eq!((claimed.counts(), claimed.applied()), ((2, 1, 0), Some(digest("new"))));

    let mut claimed = running();
    claimed.begin("new", STARTS_AGAIN);
    claimed.take("old", STARTS_AGAIN, &pending());
    assert_eq!((claimed.counts(), claimed.applied()), ((2, 1, 0), Some(digest("old"))));
}

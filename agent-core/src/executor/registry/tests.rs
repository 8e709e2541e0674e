use serde_json::json;

use super::*;

/// Counts in its record how often it was asked, up to two.
struct Counting;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Count {
    asked: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
}

#[derive(Debug)]
enum NoStep {}

impl Step for NoStep {
    fn summary(&self) -> String {
        match *self {}
    }

    fn alters_target(&self) -> bool {
        match *self {}
    }
}

impl Reconciler for Counting {
    type Spec = agent_model::FileSpec;
    type Record = Count;
    type Observation = ();
    type Step = NoStep;

    const KIND: ResourceKind = ResourceKind::File;

    fn spec_of(_: &ResourceSpec) -> Option<Arc<Self::Spec>> {
        None
    }

    async fn observe(&self, targets: &[Target<Self::Spec, Count>]) -> Vec<Result<(), Failure>> {
        targets.iter().map(|_| Ok(())).collect()
    }

    fn plan(target: &Target<Self::Spec, Count>, (): &()) -> Plan<NoStep, Count> {
        let count = target.record.clone().unwrap_or_default();
        let record = match count.asked {
            0 => Count { asked: 1, before: Some(0) },
            _ => Count { asked: 2, before: None },
        };
        Plan::nothing(Some(record), Standing::in_sync())
    }

    async fn apply(&self, _: &Target<Self::Spec, Count>, step: &NoStep) -> Result<(), Failure> {
        match *step {}
    }

    async fn release(&self, _: &[Count], _: &[Count]) {}

    fn wakes(&self) -> impl futures_util::Stream<Item = Claim> + Send + 'static {
        futures_util::stream::pending()
    }
}

async fn asked(registry: &Registry, record: &UntypedRecord) -> UntypedRecord {
    let claim = "File:/a".parse().unwrap();
    let request = Request { claim: &claim, wanted: Wanted::Absent, record: Some(record) };
    let mut requests = Requests::default();
    requests.ask(0, request);
    let mut prepared = Vec::new();
    registry.prepare(requests, &mut |_, one| prepared.push(one)).await;
    prepared.pop().unwrap().record.unwrap()
}

#[tokio::test]
async fn what_a_newer_version_noted_in_a_record_is_kept_and_what_this_one_takes_out_is_not() {
    let registry = Registry::none().with(Counting);
    let newer = Arc::new(json!({"asked": 0, "later": {"deep": [1]}}));
    let first = asked(&registry, &newer).await;
    assert_eq!(*first, json!({"asked": 1, "before": 0, "later": {"deep": [1]}}));
    let second = asked(&registry, &first).await;
    assert_eq!(*second, json!({"asked": 2, "later": {"deep": [1]}}));
    let third = asked(&registry, &second).await;
    assert!(Arc::ptr_eq(&second, &third), "what stays the same is not written anew");
}

/// What comes of such records, each of a claim of its own: the new record, or `None` where it cannot be read.
async fn planned(registry: &Registry, records: &[(&str, UntypedRecord)]) -> Vec<Option<Value>> {
    let claims: Vec<Claim> =
        records.iter().map(|(path, _)| format!("File:{path}").parse().unwrap()).collect();
    let mut requests = Requests::default();
    for (place, (claim, (_, record))) in claims.iter().zip(records).enumerate() {
        requests.ask(place, Request { claim, wanted: Wanted::Absent, record: Some(record) });
    }
    let mut planned = vec![None; records.len()];
    let mut take = |place: usize, prepared: Prepared| {
        let is_read = !matches!(prepared.then, Standing::Failed(_));
        planned[place] = prepared.record.filter(|_| is_read).map(|record| (*record).clone());
    };
    registry.prepare(requests, &mut take).await;
    planned
}

#[tokio::test]
async fn each_claim_gets_its_own_plan_whatever_goes_comes_or_cannot_be_read_between_passes() {
    let registry = Registry::none().with(Counting);
    let (fresh, old) = (Arc::new(json!({"asked": 0})), Arc::new(json!({"asked": 1, "before": 0})));
    let unreadable = Arc::new(json!(7));
    let (first, again) = (Some(json!({"asked": 1, "before": 0})), Some(json!({"asked": 2})));
    let record = |of: &UntypedRecord| Arc::clone(of);
    for (pass, expected) in [
        (
            vec![("/a", record(&fresh)), ("/b", record(&unreadable)), ("/c", record(&old))],
            [&first, &None, &again].to_vec(),
        ),
        (
            vec![("/a", record(&fresh)), ("/b", record(&old)), ("/c", record(&old))],
            vec![&first, &again, &again],
        ),
        (vec![("/b", record(&old)), ("/c", record(&old))], vec![&again, &again]),
        (
            vec![("/c", record(&fresh)), ("/a", record(&old)), ("/d", record(&unreadable))],
            vec![&first, &again, &None],
        ),
        (vec![], vec![]),
        (vec![("/a", record(&old))], vec![&again]),
    ] {
        let expected: Vec<Option<Value>> = expected.into_iter().cloned().collect();
        assert_eq!(planned(&registry, &pass).await, expected, "{pass:?}");
    }
}

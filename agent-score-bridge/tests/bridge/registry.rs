//! Which version of a Score reads an entry.

use agent_model::{
    TargetPath,
    reader::{Field, Findings},
};
use agent_score_bridge::{
    Files, Interpret, InterpretError, Score, ScoreBridge, ScoreId, ScoreRegistry, UnknownScore, WireForm,
    choose,
};
use proptest::prelude::*;
use semver::{Version, VersionReq};
use serde::Serialize;
use serde_json::json;

use super::{UnknownKeys, lower_with, scores::empty_file};

/// A Score of one name in several versions; each declares a file by which it is recognised. `MARK`
/// tells apart those of one version.
#[derive(Serialize)]
struct Tea<const MINOR: u64, const PATCH: u64, const MARK: u64>;

impl<const MINOR: u64, const PATCH: u64, const MARK: u64> WireForm for Tea<MINOR, PATCH, MARK> {
    const NAME: &'static str = "Tea";
    const VERSION: Version = Version::new(0, MINOR, PATCH);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        body.object(findings, |_| Some(Self))
    }
}

impl<T: Files, const MINOR: u64, const PATCH: u64, const MARK: u64> Score<T> for Tea<MINOR, PATCH, MARK> {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(Brew(format!("/0.{MINOR}.{PATCH}/{MARK}").parse().unwrap()))
    }
}

struct Brew(TargetPath);

impl<T: Files> Interpret<T> for Brew {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        topology.declare_file(empty_file(self.0.clone()), "")
    }
}

fn teas() -> ScoreRegistry {
    ScoreRegistry::none()
        .with::<Tea<1, 0, 0>>()
        .with::<Tea<1, 4, 0>>()
        .with::<Tea<1, 2, 0>>()
        .with::<Tea<2, 0, 0>>()
}

/// The file by which the Score that reads such an entry is recognised.
fn read_by(registry: ScoreRegistry, range: &str) -> Result<String, Vec<String>> {
    let bridge = ScoreBridge::new(registry, [agent_model::ResourceKind::File]);
    let spec = json!({"scores": [{"score": "Tea", "version": range, "name": "a", "with": {}}]});
    let lowered = lower_with(&bridge, UnknownKeys::AreProblems, &spec)?;
    Ok(lowered.state.resources()[0].claim().to_string())
}

#[test]
fn the_newest_version_within_the_range_reads_the_entry() {
    for (range, version) in [
        ("0.1.0", "0.1.4"),
        ("^0.1.1", "0.1.4"),
        ("~0.1", "0.1.4"),
        ("<0.1.3", "0.1.2"),
        ("=0.1.0", "0.1.0"),
        (">=0.1, <0.3", "0.2.0"),
        ("*", "0.2.0"),
        ("0.2", "0.2.0"),
    ] {
        let claim = read_by(teas(), range).unwrap();
        assert!(claim.ends_with(&format!("/{version}/0")), "{range} was read by {claim}");
    }
}

#[test]
fn an_incompatible_version_reads_nothing() {
    for range in ["0.1.5", "0.3.0", "1.0.0", "=0.1.1", "<0.1.0"] {
        let range_shown: VersionReq = range.parse().unwrap();
        assert_eq!(
            read_by(teas(), range).unwrap_err(),
            [format!(
                "/spec/scores/0/version: no version of Tea is {range_shown}; this device has Tea@0.1.0, Tea@0.1.2, Tea@0.1.4, Tea@0.2.0"
            )]
        );
    }
}

#[test]
fn a_score_of_the_same_name_and_version_takes_the_place_of_the_other() {
    let registry = ScoreRegistry::none().with::<Tea<1, 0, 0>>().with::<Tea<1, 0, 7>>();
    assert_eq!(registry.ids().map(ToString::to_string).collect::<Vec<_>>(), ["Tea@0.1.0"]);
    assert!(read_by(registry, "0.1.0").unwrap().ends_with("/0.1.0/7"));
}

#[test]
fn a_device_without_scores_says_so() {
    assert_eq!(
        read_by(ScoreRegistry::none(), "0.1.0").unwrap_err(),
        ["/spec/scores/0/score: no Score is named \"Tea\"; this device has none"]
    );
}

#[test]
fn what_a_device_advertises_is_enough_to_choose_from() {
    let advertised = ScoreBridge::new(teas(), []).advertised();
    assert_eq!(advertised, ["Tea@0.1.0", "Tea@0.1.2", "Tea@0.1.4", "Tea@0.2.0"]);
    let ids: Vec<ScoreId> = advertised.iter().map(|id| id.parse().unwrap()).collect();
    let chosen = choose(ids.iter(), "Tea", &"0.1.0".parse().unwrap()).unwrap();
    assert_eq!(chosen.to_string(), "Tea@0.1.4");
    let error = choose(ids.iter(), "Tee", &"0.1.0".parse().unwrap()).unwrap_err();
    assert!(matches!(error, UnknownScore::Name { .. }), "{error}");
    assert!(error.to_string().ends_with("; did you mean \"Tea\"?"), "{error}");
}

#[test]
fn what_names_no_score_of_a_version_is_refused() {
    for text in
        ["", "@", "Tea", "Tea@", "@0.1.0", "Tea@0.1", "Tea@0.1.0@0.1.0", "tea@0.1.0", "T a@0.1.0", "Té@0.1.0"]
    {
        let error = text.parse::<ScoreId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{text:?} names no Score of a version: expected for example File@0.1.0")
        );
    }
}

proptest! {
    #[test]
    fn what_an_id_is_written_as_reads_back(name in "[A-Z][A-Za-z0-9]{0,20}", a in 0..9_u64, b in 0..9_u64, c in 0..9_u64) {
        let id = ScoreId { name, version: Version::new(a, b, c) };
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }
}

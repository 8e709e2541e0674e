//! Real documents: the examples, and old ones that must mean the same for ever.

use std::{
    fs,
    path::{Path, PathBuf},
};

use agent_manifest_v1::{KIND, json_schemas, v1_0};
use agent_model::UnknownKeys;
use serde_json::Value;

use super::{lower, lower_as, newest_schema};

fn files_in(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ext| ext == extension)).collect();
    files.sort();
    files
}

fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Documents as devices hold them, by the version that they are written against. Never update a digest here: an agent
/// that reads an accepted document differently than its predecessor touches a fleet that nobody asked it to touch.
const GOLDEN: &[(&str, &[(&str, &str)])] = &[
    (
        "1.0.0",
        &[
            ("containers.json", "sha256:ae8278b983758908bf8322f82840652b20956dbcec98ba295805f287989ff3e7"),
            ("empty.json", "sha256:4869580c5b6df82776db8668b653e6a98eb38beb6e8186036fe9115d97b9f225"),
            ("files.json", "sha256:026e7b19c44ac7ebda5523e02dc51c6fc68e6183e9b84631043f8e7f2ce29fa1"),
            ("jobs.json", "sha256:7e1f5de529e275fef2bb3be800ffa87c7decbed1b3516a7ee7e51869866e6585"),
            ("processes.json", "sha256:40041a1644c1c8ac7dbfc779f65d02b2479a9641726e9b32d8a62ad856bdd043"),
            ("sealed.json", "sha256:55368c265f38e10e3d45dc344b321d88a76d1ab50728d0ff692acd73071aa6bb"),
            ("units.json", "sha256:b1168ad7b304337668ea2530b6ed1191944fd54e1fba095abefb7955583244cc"),
        ],
    ),
    (
        "1.1.0",
        &[
            ("deadline.json", "sha256:5ef4877e644c01297795fa0040b6a8b879c5cbb81437bc9f112eaf136eb8794f"),
            (
                "default-deadline.json",
                "sha256:c26e2622799252363849d88b12321edae7483d173ce3c7f0d853a0f674ff184e",
            ),
            ("none.json", "sha256:5e779918bf02a0d88b86be8c2e523b80aceb45aa5bb48aeb40ad8301157a754a"),
        ],
    ),
];

#[test]
fn old_documents_mean_what_they_always_meant() {
    let versions: Vec<String> = json_schemas().iter().map(|(version, _)| version.to_string()).collect();
    assert_eq!(versions, GOLDEN.iter().map(|(version, _)| *version).collect::<Vec<_>>());
    for ((version, schema), (_, golden)) in json_schemas().into_iter().zip(GOLDEN) {
        let fixtures = files_in(&format!("fixtures/{version}"), "json");
        let found: Vec<(String, String)> = fixtures
            .iter()
            .map(|path| {
                let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
                assert_eq!(document["schemaVersion"], version.to_string());
                jsonschema::validate(&schema, &document).unwrap();
                jsonschema::validate(&newest_schema(), &document).unwrap();
                let state = lower_as(&version, UnknownKeys::AreProblems, &document["spec"]).unwrap().state;
                (name_of(path).to_owned(), state.digest().to_string())
            })
            .collect();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, digest)| (name.as_str(), digest.as_str())).collect();
        assert_eq!(found, *golden, "{version}");
    }
}

#[test]
fn the_examples_are_valid_for_seven_devices() {
    let folders =
        ["", "/processes", "/gateway", "/jobs", "/rollback"].map(|folder| format!("../examples{folder}"));
    let examples = folders.map(|folder| files_in(&folder, "yaml")).concat();
    let names: Vec<Value> = examples
        .iter()
        .map(|path| {
            let document = yaml(path);
            assert_eq!(document["kind"], KIND);
            jsonschema::validate(&newest_schema(), &document)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let lowered =
                lower(&document["spec"]).unwrap_or_else(|all| panic!("{}: {all:#?}", path.display()));
            assert!(!lowered.state.resources().is_empty());
            document["metadata"]["name"].clone()
        })
        .collect();
    assert_eq!(
        names,
        ["edge-0001", "edge-0002", "edge-0003", "edge-0004", "edge-0005", "edge-0006", "edge-0007"]
    );
}

#[test]
fn only_the_example_that_goes_back_needs_a_newer_reader_than_the_first() {
    let examples = ["../examples", "../examples/rollback"].map(|folder| files_in(folder, "yaml")).concat();
    let too_new: Vec<&str> = examples
        .iter()
        .filter(|path| lower_as(&v1_0::VERSION, UnknownKeys::AreProblems, &yaml(path)["spec"]).is_err())
        .map(|path| name_of(path))
        .collect();
    assert_eq!(too_new, ["edge-0007.yaml"]);
}

#[test]
fn the_refused_example_shows_several_problems_at_once() {
    let [example] = &files_in("../examples/refused", "yaml")[..] else { panic!("expected one example") };
    assert_eq!(
        lower(&yaml(example)["spec"]).unwrap_err(),
        [
            "/spec/resources/0/spec: one of \"content\" and \"contentBase64\" is missing",
            "/spec/resources/0/spec/contents: unknown key \"contents\"; did you mean \"content\"?",
            "/spec/resources/1/spec/mode: expected a string, found a number: put the mode in quotes, for example \"0644\"",
            "/spec/resources/1/dependsOn/0: no resource is named \"radio-setting\"; did you mean \"radio-settings\"?",
            "/spec/resources/1/spec/path: conflicts with \"radio-settings\": both claim the same path",
        ]
    );
}

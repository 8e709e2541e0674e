//! The examples for authors.

use std::{collections::BTreeMap, fs};

use agent_model::{
    ContainerSpec, FileSpec, ManifestFormat, ProcessSpec, Resource, ResourceKind, ResourceSpec, ShellJobSpec,
    SpecDocument, SystemdUnitSpec, UnknownKeys,
    reader::{Field, Findings},
};
use semver::Version;
use serde_json::Value;

use crate::{ScoreBridge, ScoreRegistry};

/// The resources of an example, on a device whose facts are as given.
fn lowered(example: &str, facts: [(&str, &str); 2]) -> Vec<Resource> {
    let document = read(example);
    assert_eq!(document["kind"], "Score", "{example}");
    let facts = facts.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let bridge = ScoreBridge::new(ScoreRegistry::built_in(), ResourceKind::ALL);
    let lowered = bridge.lower(&SpecDocument {
        spec: &document["spec"],
        schema_version: &Version::new(0, 1, 0),
        unknown_keys: UnknownKeys::AreProblems,
        facts: &facts,
    });
    lowered.unwrap_or_else(|invalid| panic!("{example}: {invalid}")).state.resources().to_vec()
}

fn read(example: &str) -> Value {
    let path = format!("{}/../examples/{example}", env!("CARGO_MANIFEST_DIR"));
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The specs of a manifest's resources of a kind, with their names.
fn specs<T>(
    manifest: &Value,
    kind: ResourceKind,
    read: fn(Field<'_>, &mut Findings) -> Option<T>,
) -> Vec<(String, T)> {
    let resources = manifest["spec"]["resources"].as_array().unwrap().iter();
    resources
        .filter(|resource| resource["kind"] == kind.as_str())
        .map(|resource| {
            let spec = Field { value: &resource["spec"], pointer: String::new() };
            let spec = read(spec, &mut Findings::new(UnknownKeys::AreProblems)).unwrap();
            (resource["name"].as_str().unwrap().to_owned(), spec)
        })
        .collect()
}

/// The specs of a kind among the resources, with their names.
fn named<T: Clone>(resources: &[Resource], of_kind: fn(&Resource) -> Option<&T>) -> Vec<(String, T)> {
    let named = |resource: &Resource| Some((resource.name.to_string(), of_kind(resource)?.clone()));
    resources.iter().filter_map(named).collect()
}

fn container(resource: &Resource) -> Option<&ContainerSpec> {
    match &resource.spec {
        ResourceSpec::Container(container) => Some(container),
        _ => None,
    }
}

fn file(resource: &Resource) -> Option<&FileSpec> {
    match &resource.spec {
        ResourceSpec::File(file) => Some(file),
        _ => None,
    }
}

fn process(resource: &Resource) -> Option<&ProcessSpec> {
    match &resource.spec {
        ResourceSpec::Process(process) => Some(process),
        _ => None,
    }
}

fn job(resource: &Resource) -> Option<&ShellJobSpec> {
    match &resource.spec {
        ResourceSpec::ShellJob(job) => Some(job),
        _ => None,
    }
}

fn unit(resource: &Resource) -> Option<&SystemdUnitSpec> {
    match &resource.spec {
        ResourceSpec::SystemdUnit(unit) => Some(unit),
        _ => None,
    }
}

const DEVICE: [(&str, &str); 2] = [("arch", "arm"), ("hostname", "edge-0001")];

/// The files of a document, by path.
fn files(resources: &[Resource]) -> BTreeMap<String, FileSpec> {
    resources.iter().filter_map(file).map(|file| (file.path.to_string(), file.clone())).collect()
}

#[test]
fn every_example_lowers_and_says_in_scores_what_its_manifest_says() {
    let folder = format!("{}/../examples/scores", env!("CARGO_MANIFEST_DIR"));
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
    assert!(names.len() >= 5, "only {names:?}");
    for name in names {
        let resources = lowered(&format!("scores/{name}"), DEVICE);
        let manifest = match name.as_str() {
            "edge-0004.yaml" => read(&format!("processes/{name}")),
            "edge-0005.yaml" => read(&format!("gateway/{name}")),
            _ => read(&name),
        };
        let of_manifest = specs(&manifest, ResourceKind::Container, ContainerSpec::read);
        assert_eq!(named(&resources, container), of_manifest, "{name}");
        let of_manifest = specs(&manifest, ResourceKind::ShellJob, ShellJobSpec::read);
        assert_eq!(named(&resources, job), of_manifest, "{name}");
        let of_manifest = specs(&manifest, ResourceKind::SystemdUnit, SystemdUnitSpec::read);
        assert_eq!(named(&resources, unit), of_manifest, "{name}");
        let of_manifest = specs(&manifest, ResourceKind::Process, ProcessSpec::read);
        assert_eq!(named(&resources, process), of_manifest, "{name}");
        let in_scores = files(&resources);
        let of_manifest = specs(&manifest, ResourceKind::File, FileSpec::read);
        assert_eq!(in_scores.len(), of_manifest.len(), "{name}");
        for (_, file) in of_manifest {
            let in_scores = in_scores.get(file.path.as_str());
            // Where the gateway's Scores use facts, they say more than its manifest.
            let is_same = name != "edge-0001.yaml" || file.path.as_str() != "/etc/collector/collector.toml";
            if is_same && file.path.as_str() != "/etc/collector/environment" {
                assert_eq!(in_scores, Some(&file), "{name}: {}", file.path);
            } else {
                assert_eq!(in_scores.map(|file| file.mode), Some(file.mode), "{name}: {}", file.path);
            }
        }
    }
}

#[test]
fn the_gateways_files_follow_its_facts_and_what_depends_on_the_set_waits_for_all_of_it() {
    let resources = lowered("scores/edge-0001.yaml", DEVICE);
    let dependencies: Vec<(&str, Vec<&str>)> = resources
        .iter()
        .map(|resource| {
            (resource.name.as_str(), resource.depends_on.iter().map(|name| name.as_str()).collect())
        })
        .collect();
    assert_eq!(
        dependencies,
        [
            ("collector-main", vec!["token"]),
            ("collector-environment", vec!["token"]),
            ("token", vec![]),
            ("motd", vec!["collector-main", "collector-environment"]),
        ]
    );
    let content = |resources: &[Resource], path: &str| {
        String::from_utf8(files(resources)[path].content.plain().unwrap().bytes().to_vec()).unwrap()
    };
    assert_eq!(
        content(&resources, "/etc/collector/collector.toml"),
        r#"[site]
name = "north"
gateway = "edge-0001"

[[bus]]
device = "/dev/ttyUSB0"
baud = 19200
poll = "5s"

[[bus]]
device = "/dev/ttyUSB1"
baud = 9600
poll = "5s"

[buffer]
path = "/var/lib/collector/buffer"
max_size = "256Mi"
"#
    );
    let environment = "/etc/collector/environment";
    let without_threads = "COLLECTOR_CONFIG=/etc/collector/collector.toml\n\
                           COLLECTOR_TOKEN_FILE=/etc/collector/token\n\
                           COLLECTOR_LOG=info\n";
    let larger = lowered("scores/edge-0001.yaml", [("arch", "x86_64"), ("hostname", "edge-0001")]);
    assert_eq!(content(&larger, environment), without_threads);
    let with_threads = without_threads.replace("COLLECTOR_LOG", "COLLECTOR_THREADS=1\nCOLLECTOR_LOG");
    assert_eq!(content(&resources, environment), with_threads);
}

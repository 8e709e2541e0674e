use serde_json::json;

use super::*;
use crate::{
    ContainerSpec, Declaration, DesiredState, DesiredStateBuilder, Environment, FileSpec, ProcessSpec,
    Resource, ResourceSpec, ShellJobSpec,
};

/// Opens boxes that hold their content as it is, behind as many bytes as a real one has more; only those for `OWN`.
#[derive(Debug)]
struct Transparent;

const OWN: char = 'A';
const FOREIGN: char = 'B';
const SECRET: &str = "hunter2";

impl Unsealer for Transparent {
    fn open(&self, sealed: &SealedValue) -> Result<Zeroizing<Vec<u8>>, CannotUnseal> {
        let own = key(OWN);
        if sealed.to != own {
            return Err(CannotUnseal::AnotherKey { to: sealed.to.clone(), own });
        }
        Ok(Zeroizing::new(sealed.boxed[SealedValue::OVERHEAD..].to_vec()))
    }

    fn fingerprint(&self, content: Digest) -> Option<KeyedDigest> {
        let digest = Digest::of_bytes(format!("keyed {content}").as_bytes());
        Some(KeyedDigest { digest, key: Digest::of_bytes(b"the key") })
    }
}

fn key(letter: char) -> SealingKey {
    format!("X{}", letter.to_string().repeat(55)).parse().unwrap()
}

/// A box; `salt` makes another one of the same content.
fn sealed(to: char, content: &[u8], salt: u8) -> SealedValue {
    let mut boxed = vec![salt; SealedValue::OVERHEAD];
    boxed.extend_from_slice(content);
    SealedValue::new(key(to), boxed).unwrap()
}

/// One resource of each kind that can have something sealed, with that in it.
fn state(sealed: &SealedValue) -> DesiredState {
    let mut env = Environment::default();
    env.set_sealed("TOKEN", sealed.clone()).unwrap();
    let container = ContainerSpec { env: env.clone(), ..ContainerSpec::new("app:1".parse().unwrap()) };
    let process = ProcessSpec { env: env.clone(), ..ProcessSpec::new(vec!["/bin/app".into()]) };
    let job = ShellJobSpec { env, ..ShellJobSpec::new("true") };
    let content = MaybeSealed::Sealed(sealed.clone());
    let file = FileSpec::new("/a".parse().unwrap(), content);
    let specs: [(&str, ResourceSpec); 4] =
        [("c", container.into()), ("f", file.into()), ("j", job.into()), ("p", process.into())];
    let mut builder = DesiredStateBuilder::default();
    for (name, spec) in specs {
        builder.declare(Declaration::new("", name.parse().unwrap(), spec));
    }
    builder.finish().unwrap()
}

fn digests(state: &DesiredState) -> Vec<Digest> {
    state.resources().iter().map(Resource::spec_digest).collect()
}

#[test]
fn the_digest_is_that_of_what_is_sealed_and_not_of_the_box_once_it_was_opened() {
    let [first, again, other] = [(SECRET, 1), (SECRET, 2), ("hunter3", 1)]
        .map(|(content, salt)| state(&sealed(OWN, content.as_bytes(), salt)));
    assert!(digests(&first).iter().zip(digests(&again)).all(|(one, two)| *one != two), "the boxes differ");
    let [first, again, other] = [first, again, other].map(|state| state.with_boxes_tried(&Transparent));
    assert_eq!(digests(&first), digests(&again));
    assert!(digests(&first).iter().zip(digests(&other)).all(|(one, two)| *one != two));
    assert_eq!(first.differences(&again), []);
}

/// The digest of a plain value can be guessed from; that of a sealed one must not be the same.
#[test]
fn a_value_that_is_sealed_has_another_digest_than_the_same_in_the_clear() {
    let mut plain = ProcessSpec::new(vec!["/bin/app".into()]);
    plain.env.set("TOKEN", SECRET).unwrap();
    let plain = Resource::new("p".parse().unwrap(), plain.into());
    let tried = state(&sealed(OWN, SECRET.as_bytes(), 1)).with_boxes_tried(&Transparent);
    assert!(!digests(&tried).contains(&plain.spec_digest()));
}

#[test]
fn nothing_of_what_is_sealed_is_shown() {
    let tried = state(&sealed(OWN, SECRET.as_bytes(), 1)).with_boxes_tried(&Transparent);
    let other = state(&sealed(OWN, b"hunter3", 1)).with_boxes_tried(&Transparent);
    let differences = tried.differences(&other);
    assert_eq!(differences.len(), 4, "{differences:?}");
    let shown = format!("{tried:?} {differences:?}");
    assert!(!shown.contains("hunter") && !shown.contains("AAAA"), "{shown}");
    assert_eq!(format!("{differences:?}").matches(SEALED).count(), 8, "{differences:?}");
}

#[test]
fn a_box_that_does_not_open_is_told_of_with_its_place_and_what_to_do() {
    let tried = state(&sealed(FOREIGN, SECRET.as_bytes(), 1)).with_boxes_tried(&Transparent);
    for (resource, place) in tried.resources().iter().zip(["env TOKEN", "content", "env TOKEN", "env TOKEN"])
    {
        let failure = resource.cannot_unseal().unwrap();
        assert_eq!(failure.reason, "SealedToAnotherKey");
        let advice = format!("harmonyctl secret seal --to {}", key(OWN));
        assert!(failure.message.starts_with(&format!("{place}: ")), "{failure}");
        assert!(failure.message.ends_with(&advice), "{failure}");
    }
    let fine = state(&sealed(OWN, SECRET.as_bytes(), 1)).with_boxes_tried(&Transparent);
    assert!(fine.resources().iter().all(|resource| resource.cannot_unseal().is_none()));
}

#[test]
fn what_no_program_can_be_handed_is_no_variable_and_may_be_a_file() {
    for content in [&b"a\0b"[..], b"\xff"] {
        let tried = state(&sealed(OWN, content, 1)).with_boxes_tried(&Transparent);
        let reasons: Vec<_> = tried
            .resources()
            .iter()
            .map(|resource| resource.cannot_unseal().map(|failure| failure.reason))
            .collect();
        let not_text = || Some("SealedNotText".into());
        assert_eq!(reasons, [not_text(), None, not_text(), not_text()], "{content:?}");
    }
}

#[test]
fn a_sealed_value_is_written_as_it_is_read() {
    for resource in state(&sealed(OWN, SECRET.as_bytes(), 1)).resources() {
        let written = match &resource.spec {
            ResourceSpec::Container(spec) => json!(**spec),
            ResourceSpec::File(spec) => json!(**spec),
            ResourceSpec::Process(spec) => json!(**spec),
            ResourceSpec::ShellJob(spec) => json!(**spec),
            ResourceSpec::SystemdUnit(_) => unreachable!(),
        };
        let mut findings = Findings::new(crate::UnknownKeys::AreProblems);
        let field = Field { value: &written, pointer: String::new() };
        let read: Option<ResourceSpec> = match &resource.spec {
            ResourceSpec::Container(_) => ContainerSpec::read(field, &mut findings).map(Into::into),
            ResourceSpec::File(_) => FileSpec::read(field, &mut findings).map(Into::into),
            ResourceSpec::Process(_) => ProcessSpec::read(field, &mut findings).map(Into::into),
            ResourceSpec::ShellJob(_) => ShellJobSpec::read(field, &mut findings).map(Into::into),
            ResourceSpec::SystemdUnit(_) => unreachable!(),
        };
        assert_eq!(findings.into_parts().0, []);
        assert_eq!(read.as_ref(), Some(&resource.spec), "{written}");
    }
}

#[test]
fn what_a_program_is_handed_is_what_was_sealed() {
    let mut env = Environment::default();
    env.set("PLAIN", "x").unwrap();
    env.set_sealed("TOKEN", sealed(OWN, SECRET.as_bytes(), 1)).unwrap();
    let opened = env.opened(&Transparent).unwrap();
    assert_eq!(opened, [("PLAIN", "x"), ("TOKEN", SECRET)].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    assert_eq!(env.bytes(), "PLAIN=x\0TOKEN=hunter2\0".len());
}

#[test]
fn a_seed_that_is_given_for_a_key_is_not_shown_whole() {
    let seed = format!("SX{}", "A".repeat(56));
    let error = seed.parse::<SealingKey>().unwrap_err().to_string();
    assert!(!error.contains(&"A".repeat(20)), "{error}");
}

//! Images, and when they are fetched.

use std::{fmt, str::FromStr};

/// Longest path of an image in its registry, in bytes, as registries have it.
const MAX_PATH: usize = 255;
/// Longest name of a registry, in bytes: a domain name (RFC 1035) with a port.
const MAX_REGISTRY: usize = 253 + ":65535".len();
/// Longest tag, in bytes.
const MAX_TAG: usize = 128;
/// The hashes that runtimes verify images by, with the length of each in hex digits.
const HASHES: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// The reference of an image as its author wrote it, for example `registry.example.com:5000/team/app:1.2` or
/// `app@sha256:…`, known to be well-formed (the grammar of `distribution/reference`), so that none can be
/// taken for an option.
///
/// Narrower than that grammar in two points: no part but the tag has upper case, so that a registry has one spelling,
/// and a digest is one of a hash that runtimes verify.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference(String);

/// Why a text is no reference of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no image reference: {problem}; write it like \"registry.example.com/app:1.2\"")]
pub struct InvalidImageReference {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl ImageReference {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageReference {
    type Err = InvalidImageReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match problem(text) {
            None => Ok(Self(text.to_owned())),
            Some(problem) => Err(InvalidImageReference { given: text.chars().take(120).collect(), problem }),
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What keeps a text from being a reference.
fn problem(text: &str) -> Option<&'static str> {
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    // A colon before the last slash is that of a registry's port.
    let path_from = named.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match named[path_from..].find(':') {
        Some(colon) => (&named[..path_from + colon], Some(&named[path_from + colon + 1..])),
        None => (named, None),
    };
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
        _ => (None, name),
    };
    if name.is_empty() {
        Some("it has no name")
    } else if name.contains(|c: char| c.is_ascii_uppercase()) {
        Some("a name has no upper case")
    } else if registry.is_some_and(|registry| !is_registry(registry)) {
        Some("what stands before the first / is no registry")
    } else if path.len() > MAX_PATH {
        Some("its name is longer than 255 bytes")
    } else if !path.split('/').all(is_component) {
        Some(
            "a name is made of a-z and 0-9, in parts that are joined by /, and words that are joined by . or - or by one or two _",
        )
    } else if registry.is_none() && path.len() == 64 && path.bytes().all(is_hex) {
        Some("64 hex digits are the id of an image, and no name")
    } else if tag.is_some_and(|tag| !is_tag(tag)) {
        Some("a tag has 1 to 128 of a-z, A-Z, 0-9, _, . and -, and begins with none of the last two")
    } else if digest.is_some_and(|digest| !is_digest(digest)) {
        Some("what follows @ is no digest: use sha256: and 64 lower-case hex digits")
    } else {
        None
    }
}

/// A domain name, an IPv4 address, or an IPv6 address in brackets, with or without a port.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_label = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    text.len() <= MAX_REGISTRY && is_host && port.is_none_or(is_port)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_joint = |joint: &str| matches!(joint, "." | "_" | "__") || joint.bytes().all(|b| b == b'-');
    text.starts_with(is_word)
        && text.ends_with(is_word)
        && text.split(is_word).filter(|joint| !joint.is_empty()).all(is_joint)
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=MAX_TAG).contains(&text.len())
        && text.starts_with(is_word)
        && text.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
}

fn is_digest(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(hash, hex)| HASHES.contains(&(hash, hex.len())) && hex.bytes().all(is_hex))
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// When an image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// When the device has none of that reference.
    #[default]
    IfNotPresent,
    /// Before every creation of the container; where the registry cannot be reached, that fails.
    Always,
    /// Never: it must be there.
    Never,
}

impl PullPolicy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::IfNotPresent, Self::Always, Self::Never];

    /// The policy as documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IfNotPresent => "IfNotPresent",
            Self::Always => "Always",
            Self::Never => "Never",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn problem_of(text: &str) -> String {
        text.parse::<ImageReference>().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_reference_has_the_grammar_that_registries_know() {
        for text in [
            "app",
            "app:1.2",
            "eclipse-mosquitto:2",
            "team/app",
            "docker.io/library/app:latest",
            "registry.example.com:5000/a/b-c/d__e.f:V1_x.y-z",
            "localhost/app:1",
            "localhost:5000/app",
            "127.0.0.1:5000/app",
            "[2001:db8::1]:5000/app",
            "[::1]/app",
            "a--b---c/d",
            &format!("app@sha256:{HEX}"),
            &format!("registry.example.com/app:1@sha256:{HEX}"),
            &format!("app@sha512:{HEX}{HEX}"),
            &format!("team/{HEX}"),
            &"a".repeat(255),
            &format!("a:{}", "t".repeat(128)),
        ] {
            assert_eq!(problem_of(text), "");
        }
        for (text, problem) in [
            ("", "no name"),
            (":1", "no name"),
            (&format!("@sha256:{HEX}"), "no name"),
            ("App", "upper case"),
            ("Registry.example.com/app", "upper case"),
            ("--privileged", "a name is made of"),
            ("-v", "a name is made of"),
            ("app/-v", "a name is made of"),
            ("app/", "a name is made of"),
            ("/app", "a name is made of"),
            ("a//b", "a name is made of"),
            ("a___b", "a name is made of"),
            ("a..b", "a name is made of"),
            ("a b", "a name is made of"),
            ("äpp", "a name is made of"),
            ("app\n", "a name is made of"),
            ("app\0", "a name is made of"),
            ("https://registry.example.com/app", "no registry"),
            ("docker://app", "no registry"),
            ("registry.example.com:99999/app", "no registry"),
            ("registry.example.com:/app", "no registry"),
            ("-registry.example.com/app", "no registry"),
            ("registry..example/app", "no registry"),
            ("[::g]:5000/app", "no registry"),
            (&format!("{}.example/app", "x".repeat(253)), "no registry"),
            (HEX, "the id of an image"),
            (&"a".repeat(256), "longer than 255"),
            ("app:", "a tag has"),
            ("app:-v", "a tag has"),
            ("app:a:b", "a tag has"),
            ("app:ä", "a tag has"),
            (&format!("a:{}", "t".repeat(129)), "a tag has"),
            ("app@", "no digest"),
            ("app@sha256:1", "no digest"),
            (&format!("app@sha256:{}", HEX.to_uppercase()), "no digest"),
            (&format!("app@md5:{HEX}"), "no digest"),
            (&format!("app@sha256:{HEX}@sha256:{HEX}"), "no digest"),
        ] {
            let told = problem_of(text);
            assert!(told.contains(problem), "{text:?}: {told}");
        }
    }
}

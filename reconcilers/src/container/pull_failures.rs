//! Why an image could not be pulled.
//!
//! A runtime passes on what a registry, or the way to it, has said, as text, and podman says it within an answer
//! of 200. So words are all there is to tell these apart by; what they do not tell is `ImagePullFailed` with the
//! text itself.

use agent_model::Failure;
use bollard::errors::Error;

use super::failures::{NO_SPACE, quoted};

/// How the kernel's words come through a runtime, in lower case, when a disk is full.
const FULL: [&str; 2] = ["no space left", "disk quota exceeded"];

/// Words of podman, docker and the registries behind them, in lower case, with the reason that they stand for
/// and what to do. The first that is found counts.
const WORDS: [(&[&str], &str, &str); 4] = [
    (&FULL, NO_SPACE, "free some space where the runtime keeps images"),
    (
        &[
            "unauthorized",
            "authentication required",
            "access denied",
            "denied:",
            "forbidden",
            "no basic auth",
        ],
        "RegistryUnauthorized",
        "check its name, and this device's login in the file of registry_auth",
    ),
    (
        &["manifest unknown", "not found", "name unknown", "repository does not exist", "no such image"],
        "ImageNotFound",
        "check its name and tag",
    ),
    (
        &[
            "connection refused",
            "no such host",
            "timeout",
            "timed out",
            "network is unreachable",
            "no route to host",
            "pinging container registry",
            "connection reset",
            "temporary failure in name resolution",
            "eof",
        ],
        "RegistryUnreachable",
        "check this device's network and the registry",
    ),
];

/// The failure behind what the runtime answered, or did not.
pub(super) fn of(reference: &str, error: &Error) -> Failure {
    match error {
        Error::DockerStreamError { error } => classified(reference, error),
        Error::DockerResponseServerError { message, .. } => classified(reference, message),
        error => Failure::passing(
            "RuntimeUnavailable",
            format!("the runtime ended the pull of {reference}: {}", quoted(&error.to_string())),
        ),
    }
}

/// Whether a runtime says that a disk is full.
pub(super) fn is_no_space(text: &str) -> bool {
    let lower = text.to_lowercase();
    FULL.iter().any(|words| lower.contains(words))
}

/// The failure that this text tells of.
pub(super) fn classified(reference: &str, text: &str) -> Failure {
    let lower = text.to_lowercase();
    let known = WORDS.iter().find(|(words, ..)| words.iter().any(|word| lower.contains(word)));
    let (reason, remedy) = match known {
        Some((_, reason, remedy)) => (*reason, format!("; {remedy}")),
        None => ("ImagePullFailed", String::new()),
    };
    Failure::passing(reason, format!("the image {reference} cannot be pulled: {}{remedy}", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runtimes_say_is_told_apart() {
        for (text, reason) in [
            (
                "initializing source docker://r/x:1: reading manifest 1 in r/x: manifest unknown: manifest unknown",
                "ImageNotFound",
            ),
            (
                "initializing source docker://r:1/x: pinging container registry r:1: Get \"https://r:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                "RegistryUnreachable",
            ),
            (
                "initializing source docker://r/x: reading manifest 1 in r/x: unauthorized: authentication required",
                "RegistryUnauthorized",
            ),
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                "RegistryUnauthorized",
            ),
            ("writing blob: storing blob to file \"/var/tmp/1\": write: no space left on device", "NoSpace"),
            ("something else", "ImagePullFailed"),
        ] {
            assert_eq!(classified("x", text).reason, reason, "{text}");
        }
    }

    #[test]
    fn the_text_of_others_is_bounded_and_one_line() {
        let message = classified("x", &"a\u{1b}[31m\nb".repeat(10_000)).message;
        assert!(message.chars().count() < 1000 && !message.contains(char::is_control), "{message}");
    }
}

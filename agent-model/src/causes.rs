//! An error with all that lies beneath it, for people.

use std::error::Error;

/// The error and its causes in one line, outermost first. A cause whose words stand there already is left out.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Failed {
        words: &'static str,
        source: io::Error,
    }

    #[test]
    fn every_cause_is_told_once() {
        let told = |words| {
            let beneath = Failed { words: "the disk says no", source: io::Error::other("no space") };
            with_causes(&Failed { words, source: io::Error::other(beneath) })
        };
        assert_eq!(told("cannot write /x"), "cannot write /x: the disk says no: no space");
        assert_eq!(told("cannot write /x: the disk says no"), "cannot write /x: the disk says no: no space");
    }
}

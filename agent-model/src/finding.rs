//! What a test of a device or a server found: a line for each thing.

use std::fmt;

/// How one thing came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but somebody should look at it, or it cannot be known.
    Warning,
    /// It does not work, or is not safe.
    Failed,
}

/// What was found about one thing. Shown as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it came out.
    pub verdict: Verdict,
    /// What it is about.
    pub what: &'static str,
    /// What was found, and what to do.
    pub detail: String,
}

impl Finding {
    /// It is as it should be.
    pub fn ok(what: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, what, detail: detail.into() }
    }

    /// Somebody should look at it.
    pub fn warning(what: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, what, detail: detail.into() }
    }

    /// Somebody has to do something about it.
    pub fn failed(what: &'static str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, what, detail: detail.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
        };
        write!(f, "{verdict:<8} {:<14} {}", self.what, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_line_up() {
        let found = [Finding::ok("a", "1"), Finding::warning("state folder", "2"), Finding::failed("b", "3")];
        assert_eq!(
            found.map(|it| it.to_string()),
            ["ok       a              1", "warning  state folder   2", "FAILED   b              3"]
        );
    }
}

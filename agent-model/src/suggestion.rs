//! The nearest valid spelling of something misspelt.

/// The candidate most like `given`, if any is near enough to be what was meant.
fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = given.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        // Up to a third of the word may be wrong: "contents" is `content`, "port" is not `path`.
        .filter(|(distance, candidate)| *distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The end of a message about something misspelt: a suggestion where there is a near one, else
/// the list of what would be valid.
pub fn did_you_mean(given: &str, candidates: &[&str]) -> String {
    match nearest(given, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean {candidate:?}?"),
        None => format!("valid here: {}", candidates.join(", ")),
    }
}

/// Suggestions for one document, up to a bound: each looks at all candidates, and a document has room
/// for a hundred thousand misspelt names.
#[derive(Debug)]
pub struct Suggestions {
    left: usize,
}

impl Default for Suggestions {
    fn default() -> Self {
        Self { left: 10 }
    }
}

impl Suggestions {
    /// The end of a message about an unknown name; empty where no candidate is near, or too many
    /// suggestions were made already.
    pub fn hint<'a>(&mut self, given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
        let Some(left) = self.left.checked_sub(1) else { return String::new() };
        self.left = left;
        nearest(given, candidates).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_finds_none() {
        let keys = ["path", "content", "contentBase64", "mode"];
        assert_eq!(nearest("contents", keys), Some("content"));
        assert_eq!(nearest("Mode", keys), Some("mode"));
        assert_eq!(nearest("mdoe", keys), Some("mode"));
        assert_eq!(nearest("replicas", keys), None);
    }
}

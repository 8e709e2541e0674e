//! The nearest valid spelling of something misspelt.

/// The candidate most like `given`, if any is near enough to be what was meant.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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

//! The blocks of code on a page of Markdown, for tests that try what the page says.

const FENCE: &str = "```";

/// What stands between two fences.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it begins, counted from one.
    pub(crate) line: usize,
    /// Empty where the page names none.
    pub(crate) language: String,
    pub(crate) text: String,
}

/// The page's blocks, in its order.
pub(crate) fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().zip(1..);
    while let Some((fence, line)) = lines.by_ref().find(|(text, _)| text.trim_start().starts_with(FENCE)) {
        let language = fence.trim_start().trim_start_matches('`').trim().to_owned();
        let mut text = String::new();
        loop {
            match lines.next() {
                None => return Err(format!("line {line}: the block has no end")),
                Some((inner, _)) if inner.trim_start() == FENCE => break,
                Some((inner, _)) => text.extend([inner, "\n"]),
            }
        }
        blocks.push(Block { line, language, text });
    }
    Ok(blocks)
}

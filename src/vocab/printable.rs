//! Text of a caller as a message may show it.

/// Characters shown at most: enough to find a word again, few enough for a log.
const SHOWN: usize = 100;

/// A word within bounds, and without control characters.
pub fn printable(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(SHOWN) {
        match c {
            // Quotes and backslashes are no danger, and doubled they would not be the caller's word.
            '\'' | '"' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN).is_some() { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_word_is_cut_and_a_control_character_is_spelt_out() {
        assert_eq!(printable("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("it's \"\\\""), "it's \"\\\"");
        assert_eq!(printable(&"x".repeat(101)), "x".repeat(100) + "…");
    }
}

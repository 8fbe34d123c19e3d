//! Text for a terminal or a log that stays on its line, whoever wrote it.

use std::fmt::Write as _;

/// Every character that could move a terminal's cursor or turn its text around, as JSON writes them.
pub fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unruly(character) {
            let _ = write!(plain, "\\u{:04x}", u32::from(character));
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Whether a terminal obeys the character, or turns the text around it, in place of showing it.
pub fn is_unruly(character: char) -> bool {
    let turns_text = matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns_text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_or_turns_the_text_is_spelt_out() {
        let text = "a\n\u{1b}[2J\u{7f}\u{9b}\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\"é";
        let spelt = r#"a\u000a\u001b[2J\u007f\u009b\u061c\u200e\u200f\u202a\u202e\u2066\u2069"é"#;
        assert_eq!(escaped(text), spelt);
    }
}

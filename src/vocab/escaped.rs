//! Text for a terminal or a log that stays on its line, whoever wrote it.

use std::fmt::Write as _;

/// Every character that could move a terminal's cursor or turn its text around, as JSON writes them.
pub fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        let code = u32::from(character);
        let turns_text = matches!(code, 0x061c | 0x200e..=0x200f | 0x2028..=0x202e | 0x2066..=0x2069);
        if character.is_control() || turns_text {
            let _ = write!(plain, "\\u{code:04x}");
        } else {
            plain.push(character);
        }
    }
    plain
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

//! Keys among what a caller writes: an agent that passes its own key as an argument must not have it recorded.

use crate::vocab::Secret;

/// What stands in the place of a key.
const REDACTED: &str = "[key]";

/// How keys of `kernos key new` begin.
const PREFIX: &str = "kernos_";

/// What follows: 32 bytes in base64url.
const RANDOM_LENGTH: usize = 43;

/// A presented key this long is looked for within words, as long as one that a policy reads must be. A shorter one
/// would be found everywhere, and counts only as a whole word.
const LONG: usize = 16;

/// The text without the key that its caller presented, and without any that looks like one of kernos.
pub(super) fn redacted(text: &str, presented: Option<&Secret>) -> String {
    let text = match presented.map(Secret::expose) {
        Some(key) if text == key => return REDACTED.to_owned(),
        Some(key) if key.len() >= LONG => text.replace(key, REDACTED),
        _ => text.to_owned(),
    };
    without_lookalikes(&text)
}

/// Whether there is a key in the text.
pub(super) fn has_key(text: &str, presented: Option<&Secret>) -> bool {
    redacted(text, presented) != text
}

fn without_lookalikes(text: &str) -> String {
    let mut pieces = text.split(PREFIX);
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let random = piece.find(|letter: char| !is_base64url(letter)).unwrap_or(piece.len());
        if random >= RANDOM_LENGTH {
            plain.push_str(REDACTED);
            plain.push_str(&piece[random..]);
        } else {
            plain.push_str(PREFIX);
            plain.push_str(piece);
        }
    }
    plain
}

fn is_base64url(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '-' || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presented_key_is_found_within_a_word_unless_it_is_short() {
        let long = Secret::new("0123456789abcdef\"");
        assert_eq!(redacted("a=0123456789abcdef\";b", Some(&long)), "a=[key];b");
        let short = Secret::new("abc");
        assert_eq!(redacted("abc", Some(&short)), "[key]");
        assert_eq!(redacted("abcd", Some(&short)), "abcd");
        assert!(has_key("abc", Some(&short)) && !has_key("abc", None));
    }

    #[test]
    fn what_looks_like_a_key_of_kernos_is_none_of_the_records_business() {
        let key = format!("kernos_{}", "aZ0-_".repeat(9));
        assert_eq!(redacted(&format!("x {key} y {key}\n"), None), "x [key] y [key]\n");
        let nearly = format!("kernos_{}", &"a".repeat(42));
        assert_eq!(redacted(&nearly, None), nearly);
        assert_eq!(redacted(&format!("kernos_kernos_{}", "b".repeat(43)), None), "kernos_[key]");
    }
}

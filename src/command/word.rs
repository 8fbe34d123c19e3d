//! What a single word of the array is: an operator, data, or something that only a shell could serve.

use super::line::{Connector, RedirectionKind, WORD_MAX};
use super::parse::SyntaxErrorKind;

/// A word, classified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Data(String),
    Pipe,
    Connector(Connector),
    Redirection(RedirectionKind),
}

/// Words that mean something to a shell and nothing here, with what to write instead.
const SHELL_ONLY: [(&str, &str); 12] = [
    ("&", "a call ends with its processes, so there is no background"),
    ("|&", "write `2>&1` before `|`"),
    ("<<", "send the text as `stdin`"),
    ("<<-", "send the text as `stdin`"),
    ("<<<", "send the text as `stdin`"),
    ("&>>", "write `>>`, the path, and `2>&1`"),
    (">|", "write `>`"),
    ("<>", "write `<` or `>`"),
    (">&", "write `&>` and the path"),
    ("<&", "descriptors beyond 0, 1 and 2 do not exist here"),
    (">&2", "standard output cannot be sent to standard error"),
    ("1>&2", "standard output cannot be sent to standard error"),
];

/// Reads one word. A backslash before a word that is not data makes it data, and is dropped.
pub(super) fn classify(text: String) -> Result<Token, SyntaxErrorKind> {
    if text.contains('\0') {
        return Err(SyntaxErrorKind::Nul);
    }
    if text.len() > WORD_MAX {
        return Err(SyntaxErrorKind::WordTooLong { bytes: text.len() });
    }
    if is_escaped(&text) {
        return Ok(Token::Data(text[1..].to_owned()));
    }
    match operator(&text) {
        Some(token) => Ok(token),
        None => refusal(&text).map_or(Ok(Token::Data(text)), Err),
    }
}

/// The word that [`classify`] reads as this text.
pub(super) fn written(text: &str) -> String {
    if operator(text).is_some() || refusal(text).is_some() || is_escaped(text) {
        format!("\\{text}")
    } else {
        text.to_owned()
    }
}

fn is_escaped(text: &str) -> bool {
    let bare = text.trim_start_matches('\\');
    bare.len() < text.len() && (operator(bare).is_some() || refusal(bare).is_some())
}

fn operator(text: &str) -> Option<Token> {
    let connector = Connector::ALL.into_iter().find(|one| one.symbol() == text);
    let redirection = RedirectionKind::ALL.into_iter().find(|one| one.symbol() == text);
    match (text, connector, redirection) {
        ("|", _, _) => Some(Token::Pipe),
        (_, Some(connector), _) => Some(Token::Connector(connector)),
        (_, _, Some(kind)) => Some(Token::Redirection(kind)),
        _ => None,
    }
}

fn refusal(text: &str) -> Option<SyntaxErrorKind> {
    if let Some((_, remedy)) = SHELL_ONLY.iter().find(|(word, _)| *word == text) {
        return Some(SyntaxErrorKind::ShellOnly { word: text.to_owned(), remedy });
    }
    if let Some(delimiter) = text.strip_prefix("<<")
        && delimiter.starts_with(|c: char| c.is_ascii_alphanumeric() || "_-'\"".contains(c))
    {
        return Some(SyntaxErrorKind::ShellOnly {
            word: text.to_owned(),
            remedy: "send the text as `stdin`",
        });
    }
    glued(text).map(|(operator, path)| SyntaxErrorKind::Glued {
        word: text.to_owned(),
        operator,
        path: path.to_owned(),
    })
}

/// `2>/dev/null`: an operator and its path in one word, which a shell would split.
///
/// Only shapes that are hardly ever data: a descriptor or `&` before the operator, or a path with a
/// slash at its start behind it. `<html>`, `>chr1` and `--format=<%h>` are data.
fn glued(text: &str) -> Option<(&'static str, &str)> {
    const PREFIXES: [(&str, &str, bool); 11] = [
        ("2>>", "2>>", true),
        ("1>>", ">>", true),
        ("&>>", ">>", true),
        ("2>", "2>", true),
        ("1>", ">", true),
        ("0<", "<", true),
        ("&>", "&>", true),
        (">>", ">>", false),
        (">", ">", false),
        ("<<", "<", false),
        ("<", "<", false),
    ];
    let (prefix, operator, always) = PREFIXES.into_iter().find(|(prefix, ..)| text.starts_with(prefix))?;
    let path = &text[prefix.len()..];
    let like_a_path = ["/", "./", "../"].iter().any(|start| path.starts_with(start));
    let plain = !path.is_empty() && !path.starts_with(['=', '&']) && !path.contains(char::is_whitespace);
    ((always && plain) || like_a_path).then_some((operator, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Token {
        Token::Data(text.to_owned())
    }

    fn read(text: &str) -> Result<Token, SyntaxErrorKind> {
        classify(text.to_owned())
    }

    #[test]
    fn an_operator_inside_a_word_is_data() {
        for text in [
            "a;b",
            "x|y",
            "--format=<%h>",
            "<html>",
            ">chr1",
            "a && b",
            "2>1 ",
            "{}",
            "(",
            "!",
            "$HOME",
            "*",
            "~",
            "`id`",
        ] {
            assert_eq!(read(text), Ok(data(text)));
        }
    }

    #[test]
    fn a_backslash_makes_an_operator_data() {
        for text in [";", "|", ">", "&&", "2>&1", "&", "<<", "2>/dev/null"] {
            assert_eq!(read(&format!("\\{text}")), Ok(data(text)));
            assert_eq!(read(&format!("\\\\{text}")), Ok(data(&format!("\\{text}"))));
        }
        assert_eq!(read("\\n"), Ok(data("\\n")));
        assert_eq!(read("\\"), Ok(data("\\")));
    }

    #[test]
    fn what_only_a_shell_could_serve_is_refused_by_name() {
        for text in ["&", "|&", "<<", "<<<", "<<EOF", "<<'EOF'", "&>>", ">&2"] {
            assert!(matches!(read(text), Err(SyntaxErrorKind::ShellOnly { word, .. }) if word == text));
        }
    }

    #[test]
    fn a_glued_redirection_is_refused_with_its_two_words() {
        for (text, operator, path) in [
            ("2>/dev/null", "2>", "/dev/null"),
            ("2>err.txt", "2>", "err.txt"),
            (">>./log", ">>", "./log"),
            ("</etc/passwd", "<", "/etc/passwd"),
            ("1>out", ">", "out"),
            ("&>/dev/null", "&>", "/dev/null"),
        ] {
            let expected = SyntaxErrorKind::Glued { word: text.into(), operator, path: path.into() };
            assert_eq!(read(text), Err(expected));
        }
    }
}

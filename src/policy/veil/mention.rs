//! Where a word names one of some programs, which need not be all that it holds.

/// Where a word names a program that takes secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mention<'n> {
    pub(super) name: &'n str,
    /// Where something else than white space follows in the same word.
    pub(super) rest: Option<usize>,
}

impl<'n> Mention<'n> {
    /// The whole word is the program, or a path to it.
    pub(super) fn of_program(secretive: &[&'n str], text: &str) -> Option<Self> {
        secretive.iter().find(|name| **name == file(text)).map(|name| Self { name, rest: None })
    }

    /// The first that there is in the word.
    pub(super) fn within(secretive: &[&'n str], text: &str) -> Option<Self> {
        let ends = secretive.iter().filter_map(|name| Some((end_of(name, text)?, *name)));
        let (end, name) = ends.min_by_key(|(end, name)| end - name.len())?;
        let rest = text[end..].trim_start();
        Some(Self { name, rest: (!rest.is_empty()).then(|| text.len() - rest.len()) })
    }
}

/// Where the name ends in a text in which it is more than a part of another name, or of a path to something else.
fn end_of(name: &str, text: &str) -> Option<usize> {
    let is_of_a_name = |c: char| c.is_alphanumeric() || "_-.+@".contains(c);
    let mut found = text.match_indices(name).map(|(at, _)| (&text[..at], at + name.len()));
    let (_, end) = found.find(|(before, end)| {
        let (before, after) = (before.chars().next_back(), text[*end..].chars().next());
        !before.is_some_and(is_of_a_name) && !after.is_some_and(|c| is_of_a_name(c) || c == '/')
    })?;
    Some(end)
}

/// The last component of a path, which is what tells a program wherever it is installed.
pub(super) fn file(name: &str) -> &str {
    name.rsplit('/').find(|component| !component.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands behind the name that is found.
    fn behind(text: &str) -> Option<&str> {
        Mention::within(&["login", "my-sql"], text).map(|mention| &text[mention.rest.unwrap_or(text.len())..])
    }

    #[test]
    fn a_name_is_found_wherever_a_shell_could_find_it() {
        for (text, rest) in [
            ("login", ""),
            (" login\t", ""),
            ("/usr/bin/login", ""),
            ("login x", "x"),
            ("\n/bin/login  x y", "x y"),
            ("'login' x", "' x"),
            ("a|login x", "x"),
            ("a;login;my-sql", ";my-sql"),
            ("A=$(my-sql -p x)", "-p x)"),
            ("relogin; login x", "x"),
            ("my-sql://x", "://x"),
        ] {
            assert_eq!(behind(text), Some(rest), "{text:?}");
        }
    }

    #[test]
    fn a_part_of_another_name_is_none() {
        for text in [
            "logins x",
            "relogin x",
            "login-x y",
            "x-login y",
            "login.conf",
            "my-sqlé",
            "/etc/login/x",
            "sql x",
            "",
        ] {
            assert_eq!(behind(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_program_is_a_whole_word_or_the_end_of_a_path() {
        let is_one = |text: &str| Mention::of_program(&["login"], text).is_some();
        for text in ["login", "/usr/bin/login", "./login", "login/"] {
            assert!(is_one(text), "{text}");
        }
        for text in ["login x", " login", "/login/x", "/", ""] {
            assert!(!is_one(text), "{text}");
        }
    }
}

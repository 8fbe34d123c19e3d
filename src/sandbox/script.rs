//! The `#!` line of a script, read as the kernel reads it (execve(2), "Interpreter scripts").

use std::fs::File;
use std::io::{self, Read};

use crate::vocab::AbsPath;

/// How many bytes of a file the kernel looks at (`BINPRM_BUF_SIZE`).
const LOOKED_AT: usize = 256;

/// What the kernel starts in place of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shebang {
    /// The interpreter, as it is written.
    pub interpreter: String,
    /// The rest of the line: one argument, whatever blanks are in it.
    pub argument: Option<String>,
}

/// The interpreter that a file asks for; `None` if it does not begin with `#!`.
pub fn interpreter(path: &AbsPath) -> io::Result<Option<Shebang>> {
    let mut beginning = Vec::with_capacity(LOOKED_AT);
    File::open(path)?.take(LOOKED_AT as u64).read_to_end(&mut beginning)?;
    match beginning.strip_prefix(b"#!") {
        Some(rest) => Shebang::parse(rest, beginning.len() == LOOKED_AT).map(Some),
        None => Ok(None),
    }
}

impl Shebang {
    /// The program that `env` is asked to look for, where the interpreter is `env`.
    pub fn env_name(&self) -> Option<&str> {
        let (_, name) = self.interpreter.rsplit_once('/')?;
        let argument = self.argument.as_deref().filter(|_| name == "env")?;
        let split = argument.strip_prefix("-S").or_else(|| argument.strip_prefix("--split-string="));
        match split {
            // env(1): options and NAME=VALUE words come before the program.
            Some(words) => {
                words.split_ascii_whitespace().find(|word| !word.starts_with('-') && !word.contains('='))
            }
            None => Some(argument),
        }
    }

    fn parse(rest: &[u8], cut: bool) -> io::Result<Self> {
        let refused = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        let line = std::str::from_utf8(line).map_err(|_| refused("its `#!` line is not UTF-8"))?;
        let line = line.trim_matches([' ', '\t']);
        let (interpreter, argument) = line.split_once([' ', '\t', '\0']).unwrap_or((line, ""));
        match interpreter {
            "" => Err(refused("its `#!` line names no interpreter")),
            _ if end.is_none() && cut && interpreter.len() == line.len() => {
                Err(refused("its `#!` line names an interpreter that is cut off after 256 bytes"))
            }
            _ if !interpreter.starts_with('/') => {
                Err(refused("its `#!` line names an interpreter that is not an absolute path"))
            }
            _ => {
                let argument = argument.trim_matches([' ', '\t']);
                Ok(Self {
                    interpreter: interpreter.to_owned(),
                    argument: (!argument.is_empty()).then(|| argument.to_owned()),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shebang(line: &str) -> Result<(String, Option<String>), String> {
        let parsed = Shebang::parse(line.as_bytes(), line.len() + 2 >= LOOKED_AT);
        parsed.map(|found| (found.interpreter, found.argument)).map_err(|error| error.to_string())
    }

    fn env_name(argument: &str) -> Option<String> {
        let shebang = Shebang { interpreter: "/usr/bin/env".to_owned(), argument: Some(argument.to_owned()) };
        shebang.env_name().map(str::to_owned)
    }

    #[test]
    fn the_rest_of_the_line_is_one_argument() {
        assert_eq!(shebang("/bin/sh\necho"), Ok(("/bin/sh".to_owned(), None)));
        assert_eq!(
            shebang(" \t/usr/bin/awk -f  -v x=1 \nx"),
            Ok(("/usr/bin/awk".to_owned(), Some("-f  -v x=1".to_owned())))
        );
    }

    #[test]
    fn what_the_kernel_would_not_start_is_refused() {
        assert_eq!(shebang("  \n"), Err("its `#!` line names no interpreter".to_owned()));
        assert_eq!(
            shebang("python3\n"),
            Err("its `#!` line names an interpreter that is not an absolute path".to_owned())
        );
        assert_eq!(
            shebang(&format!("/{}", "x".repeat(253))),
            Err("its `#!` line names an interpreter that is cut off after 256 bytes".to_owned())
        );
    }

    #[test]
    fn the_last_line_of_a_short_file_needs_no_end() {
        assert_eq!(shebang("/bin/sh"), Ok(("/bin/sh".to_owned(), None)));
    }

    #[test]
    fn env_looks_for_its_argument() {
        assert_eq!(env_name("python3").as_deref(), Some("python3"));
        assert_eq!(env_name("-S node --no-warnings").as_deref(), Some("node"));
        assert_eq!(env_name("-S A=1 node").as_deref(), Some("node"));
    }

    #[test]
    fn only_env_looks_for_anything() {
        let shebang = Shebang { interpreter: "/bin/sh".to_owned(), argument: Some("-e".to_owned()) };
        assert_eq!(shebang.env_name(), None);
    }
}

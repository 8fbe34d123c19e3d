//! A name becomes a program: the file on the search path, and every interpreter that is started for it.
//!
//! It is done when the policy loads, never when a command runs.

use std::io;

use super::files::{User, facts};
use super::script::interpreter;
use crate::policy::program::FileFacts;
use crate::vocab::AbsPath;

/// As in the kernel, which follows an interpreter to its interpreter this often and then says ELOOP.
const INTERPRETERS: usize = 4;

/// Why a name is no program of this host.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// No directory of the search path has an executable file of this name.
    #[error("no directory of the search path ({}) has an executable file `{name}`", listed(searched))]
    NotFound {
        /// What was looked for.
        name: String,
        /// Where.
        searched: Vec<AbsPath>,
    },
    /// A path that is not absolute.
    #[error("`{name}` is neither a name nor an absolute path: write one of the two")]
    Relative {
        /// What was written.
        name: String,
    },
    /// It is there, but nobody can run it.
    #[error("{path} is not an executable file")]
    NotExecutable {
        /// Which file.
        path: AbsPath,
    },
    /// The file, or something on the way to it, cannot be looked at.
    #[error("{path} cannot be examined")]
    Unreadable {
        /// Which file.
        path: AbsPath,
        /// What went wrong.
        source: io::Error,
    },
    /// A script whose interpreter is no program.
    #[error("{script} is a script whose interpreter cannot be started")]
    Interpreter {
        /// The script.
        script: AbsPath,
        /// Why not.
        source: Box<Unresolved>,
    },
    /// Scripts that are each other's interpreters.
    #[error("{path} is a script whose interpreter is a script, and so on more than {INTERPRETERS} times")]
    Loop {
        /// The first script.
        path: AbsPath,
    },
}

/// What the host says of each file of the program that `name` is, an absolute path or a name on the search path, for
/// the given users of kernos: of itself first, then of its interpreters, outermost first.
pub fn chain(name: &str, search: &[AbsPath], users: &[User]) -> Result<Vec<FileFacts>, Unresolved> {
    let mut chain = vec![found(name, search, users)?];
    // A script and an interpreter that it asks for. `#!/usr/bin/env X` asks for two: X waits until env is done.
    let mut waiting: Vec<(AbsPath, String)> = Vec::new();
    loop {
        let file = chain[chain.len() - 1].path.clone();
        let unreadable = |source| Unresolved::Unreadable { path: file.clone(), source };
        if let Some(shebang) = interpreter(&file).map_err(unreadable)? {
            waiting.extend(shebang.env_name().map(|name| (file.clone(), name.to_owned())));
            waiting.push((file, shebang.interpreter));
        }
        let Some((script, next)) = waiting.pop() else {
            return Ok(chain);
        };
        if chain.len() > INTERPRETERS {
            return Err(Unresolved::Loop { path: chain[0].path.clone() });
        }
        let next = found(&next, search, users);
        chain.push(next.map_err(|source| Unresolved::Interpreter { script, source: Box::new(source) })?);
    }
}

fn found(name: &str, search: &[AbsPath], users: &[User]) -> Result<FileFacts, Unresolved> {
    if name.starts_with('/') {
        let relative = |_| Unresolved::Relative { name: name.to_owned() };
        return at(AbsPath::parse(name).map_err(relative)?, users);
    }
    if name.is_empty() || name.contains('/') {
        return Err(Unresolved::Relative { name: name.to_owned() });
    }
    let first = search.iter().find_map(|directory| at(directory.resolve(name), users).ok());
    first.ok_or_else(|| Unresolved::NotFound { name: name.to_owned(), searched: search.to_vec() })
}

fn at(path: AbsPath, users: &[User]) -> Result<FileFacts, Unresolved> {
    match facts(&path, users) {
        Ok(facts) if facts.executable => Ok(facts),
        Ok(_) => Err(Unresolved::NotExecutable { path }),
        Err(source) => Err(Unresolved::Unreadable { path, source }),
    }
}

fn listed(paths: &[AbsPath]) -> String {
    paths.iter().map(AbsPath::as_str).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn path(text: &Path) -> AbsPath {
        AbsPath::parse(text.to_str().unwrap()).unwrap()
    }

    fn put(directory: &Path, name: &str, text: &str) {
        fs::write(directory.join(name), text).unwrap();
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn names(name: &str, search: &[&Path]) -> Result<Vec<String>, String> {
        let search: Vec<AbsPath> = search.iter().map(|directory| path(directory)).collect();
        let chain = chain(name, &search, &[]).map_err(|error| crate::vocab::Chain(&error).to_string())?;
        Ok(chain.iter().map(|facts| facts.path.name().to_owned()).collect())
    }

    #[test]
    fn the_first_directory_with_an_executable_file_wins() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(one.path().join("tool"), "not executable").unwrap();
        put(two.path(), "tool", "");
        assert_eq!(names("tool", &[one.path(), two.path()]).unwrap(), ["tool"]);
        let chain = chain("tool", &[path(one.path()), path(two.path())], &[]).unwrap();
        assert_eq!(chain[0].path, path(&two.path().join("tool")));
    }

    #[test]
    fn a_script_brings_its_interpreters() {
        let place = tempfile::tempdir().unwrap();
        let here = place.path();
        put(here, "binary", "\x7fELF");
        put(here, "inner", &format!("#!{}/binary\n", here.display()));
        put(here, "env", "\x7fELF");
        put(here, "direct", &format!("#! {}/inner -x\n", here.display()));
        put(here, "searched", &format!("#!{}/env inner\n", here.display()));
        assert_eq!(names("direct", &[here]).unwrap(), ["direct", "inner", "binary"]);
        assert_eq!(names("searched", &[here]).unwrap(), ["searched", "env", "inner", "binary"]);
    }

    #[test]
    fn scripts_in_a_circle_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let here = place.path().display();
        put(place.path(), "a", &format!("#!{here}/b\n"));
        put(place.path(), "b", &format!("#!{here}/a\n"));
        assert_eq!(
            names("a", &[place.path()]).unwrap_err(),
            format!("{here}/a is a script whose interpreter is a script, and so on more than 4 times")
        );
    }

    #[test]
    fn a_missing_interpreter_is_named_with_its_script() {
        let place = tempfile::tempdir().unwrap();
        let here = place.path().display();
        put(place.path(), "env", "");
        put(place.path(), "tool", &format!("#!{here}/env nothing\n"));
        assert_eq!(
            names("tool", &[place.path()]).unwrap_err(),
            format!(
                "{here}/tool is a script whose interpreter cannot be started: \
                 no directory of the search path ({here}) has an executable file `nothing`"
            )
        );
    }

    #[test]
    fn what_is_neither_a_name_nor_a_path_is_refused() {
        for name in ["bin/ls", "./ls", ""] {
            assert!(matches!(chain(name, &[], &[]), Err(Unresolved::Relative { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_executable_is_no_program() {
        let error = chain("/etc/passwd", &[], &[]).unwrap_err();
        assert_eq!(error.to_string(), "/etc/passwd is not an executable file");
    }
}

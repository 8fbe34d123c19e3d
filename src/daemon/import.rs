//! `kernos policy import`: the settings of a predecessor, read from their file, as a policy on standard output.
//!
//! What both mean is decided in `policy::import`; here is the file, the last check, and who is told what.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;

use super::cli::Import;
use super::exit::Error;
use super::host::ThisHost;
use super::policy_file::PolicyFile;
use super::{load, print, tell};
use crate::policy::Source;
use crate::policy::import::{Imported, Mistake, Remark, import};

/// As long as one variable can be (`MAX_ARG_STRLEN` of execve(2)); files of settings are far shorter.
const LENGTH_MAX: u64 = 128 << 10;

/// Prints the policy, and on standard error what in it is not what it was.
pub fn run(arguments: &Import) -> Result<(), Error> {
    let (source, is_exposed) = read(&arguments.file)?;
    let Imported { policy, remarks } =
        import(&source, &ThisHost).map_err(|mistakes| refused(&source.name, &mistakes))?;
    sound(&source.name, &policy)?;
    print(&policy)?;
    for Remark { place, text } in &remarks {
        let place = place.map(|place| format!(":{place}")).unwrap_or_default();
        tell(&format!("{}{place}: note: {text}\n", source.name));
    }
    if is_exposed {
        let name = &source.name;
        tell(&format!("{name}: note: everybody on this host can read this file and the keys in it.\n"));
    }
    tell("kernos: the policy is sound on this host. Read its comments before it is used.\n");
    Ok(())
}

fn refused(name: &str, mistakes: &[Mistake]) -> Error {
    for Mistake { place, text } in mistakes {
        tell(&format!("{name}:{place}: error: {text}\n"));
    }
    Error::NoSettings { name: name.to_owned(), mistakes: mistakes.len() }
}

/// Nothing is printed that would be refused; what this host lacks is told as `check` tells it.
fn sound(name: &str, policy: &str) -> Result<(), Error> {
    let source = Source { name: format!("the policy made of {name}"), text: policy.to_owned() };
    let file = PolicyFile { source, exposed: false };
    if load::compile(&file, &ThisHost).policy.is_some() {
        return Ok(());
    }
    load::sound(&file).map(|_| ())
}

/// The file's text, and whether others can read it.
fn read(path: &Path) -> Result<(Source, bool), Error> {
    let unreadable = |source| Error::Settings { path: path.to_owned(), source };
    // Without O_NONBLOCK a FIFO in its place would hang the command.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is not a regular file")));
    }
    let text = text(file).map_err(unreadable)?;
    Ok((Source { name: path.display().to_string(), text }, metadata.mode() & libc::S_IROTH != 0))
}

fn text(file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(LENGTH_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LENGTH_MAX {
        return Err(io::Error::other("it is longer than 128 KiB, which no file of settings is"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        io::Error::other(format!("line {line} is not UTF-8: write the file in that encoding"))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vocab::Chain;

    fn why(contents: &[u8]) -> String {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("kernos.env");
        fs::write(&path, contents).unwrap();
        match read(&path) {
            Err(Error::Settings { source, .. }) => Chain(&source).to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_that_is_no_text_of_settings_is_told_why() {
        assert_eq!(why(b"A=1\nB=\xe9\n"), "line 2 is not UTF-8: write the file in that encoding");
        let long = vec![b'#'; usize::try_from(LENGTH_MAX).unwrap() + 1];
        assert_eq!(why(&long), "it is longer than 128 KiB, which no file of settings is");
        assert!(matches!(read(Path::new("/")), Err(Error::Settings { .. })));
    }

    #[test]
    fn an_unsound_policy_is_never_printed() {
        assert!(matches!(sound("kernos.env", "[server]\n"), Err(Error::Unsound { .. })));
    }
}

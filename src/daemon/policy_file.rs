//! The policy file: whether it may be trusted, then its text. What the text says is for `policy` to judge.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;
use nix::unistd::Uid;

use super::exit::Error;
use crate::policy::Source;

/// Where the policy is when systemd starts kernos without saying so.
pub const PACKAGED: &str = "/etc/kernos/kernos.toml";

/// No policy is as long as this; what is longer is another file.
const LENGTH_MAX: u64 = 1 << 20;

const GROUP_AND_OTHERS_WRITE: u32 = libc::S_IWGRP | libc::S_IWOTH;

/// A policy that was read, and what its file lets others do.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// Its name and its text.
    pub source: Source,
    /// Whether users other than the owner can read it, and so any secret in it.
    pub exposed: bool,
}

/// Reads a policy file, unless somebody other than root or the caller could have written it.
pub fn read(path: &Path) -> Result<PolicyFile, Error> {
    match examine(path)? {
        (_, Some(distrusted)) => Err(distrusted),
        (file, None) => Ok(file),
    }
}

/// Reads a policy file that is only to be looked at, and says why it is not to be trusted, if it is not.
pub fn examine(path: &Path) -> Result<(PolicyFile, Option<Error>), Error> {
    let file = open(path)?;
    let found = read_open(path.display().to_string(), &file)?;
    Ok((found, trusted(path, &file, Uid::effective().as_raw()).err()))
}

/// Opens a policy file for somebody else to read, unless somebody other than root or the caller could have written it.
pub fn open_trusted(path: &Path) -> Result<File, Error> {
    let file = open(path)?;
    trusted(path, &file, Uid::effective().as_raw())?;
    Ok(file)
}

/// Opens what may be a policy file.
pub fn open(path: &Path) -> Result<File, Error> {
    // Without O_NONBLOCK a FIFO in its place would hang the start.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    opened.map_err(|source| Error::Unreadable { path: path.to_owned(), source })
}

/// Reads a policy file that is open, whoever wrote it.
pub fn read_open(name: String, file: &File) -> Result<PolicyFile, Error> {
    let unreadable = |source| Error::Unreadable { path: name.clone().into(), source };
    let untrusted = |why| Error::Untrusted { path: name.clone().into(), why };
    let metadata = file.metadata().map_err(unreadable)?;
    if let Some(why) = no_policy(&metadata) {
        return Err(untrusted(why));
    }
    let text = text(bytes(file).map_err(unreadable)?).map_err(untrusted)?;
    Ok(PolicyFile { source: Source { name, text }, exposed: metadata.mode() & libc::S_IROTH != 0 })
}

/// Fails if somebody other than root or `caller` could have written it.
pub fn trusted(path: &Path, file: &File, caller: u32) -> Result<(), Error> {
    let metadata = file.metadata().map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    let untrusted = |why| Err(Error::Untrusted { path: path.to_owned(), why });
    distrusted(&metadata, caller).map_or(Ok(()), untrusted)
}

fn no_policy(metadata: &Metadata) -> Option<String> {
    match () {
        () if !metadata.is_file() => Some("it is not a regular file".to_owned()),
        () if metadata.len() > LENGTH_MAX => Some("it is longer than 1 MiB".to_owned()),
        () => None,
    }
}

fn distrusted(metadata: &Metadata, caller: u32) -> Option<String> {
    let (owner, mode) = (metadata.uid(), metadata.mode());
    if owner != 0 && owner != caller {
        return Some(format!(
            "it belongs to uid {owner}; it must belong to root or to who starts kernos (uid {caller})"
        ));
    }
    (mode & GROUP_AND_OTHERS_WRITE != 0)
        .then(|| format!("others than its owner can write it (mode {:04o}): `chmod go-w` it", mode & 0o7777))
}

fn bytes(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // It may have been read before, by whoever handed it over.
    file.rewind()?;
    file.take(LENGTH_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        format!("line {line} is not UTF-8, as TOML is: write the file in that encoding")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("kernos.toml");
        fs::write(&path, "[server]\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (place, path)
    }

    fn why(path: &Path) -> String {
        match read(path) {
            Err(Error::Untrusted { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_text_comes_with_the_name() {
        let (_place, path) = written(0o600);
        let file = read(&path).unwrap();
        assert_eq!(
            (file.source.name.as_str(), file.source.text.as_str()),
            (path.to_str().unwrap(), "[server]\n")
        );
        assert!(!file.exposed);
    }

    #[test]
    fn a_file_that_all_can_read_is_exposed() {
        let (_place, path) = written(0o644);
        assert!(read(&path).unwrap().exposed);
    }

    #[test]
    fn a_file_that_others_can_write_is_not_trusted() {
        let (_place, path) = written(0o664);
        assert_eq!(why(&path), "others than its owner can write it (mode 0664): `chmod go-w` it");
    }

    #[test]
    fn a_text_in_another_encoding_is_no_policy() {
        let (_place, path) = written(0o600);
        fs::write(&path, b"[server]\n# \xe9\n").unwrap();
        assert_eq!(why(&path), "line 2 is not UTF-8, as TOML is: write the file in that encoding");
    }

    #[test]
    fn only_a_regular_file_is_read() {
        let (place, _) = written(0o600);
        assert_eq!(why(place.path()), "it is not a regular file");
        let fifo = place.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(why(&fifo), "it is not a regular file");
    }

    #[test]
    fn somebody_elses_file_is_not_trusted() {
        let (_place, path) = written(0o600);
        let metadata = fs::metadata(&path).unwrap();
        let own = metadata.uid();
        if own != 0 {
            let why = distrusted(&metadata, own + 1).unwrap();
            assert_eq!(
                why,
                format!(
                    "it belongs to uid {own}; it must belong to root or to who starts kernos (uid {})",
                    own + 1
                )
            );
        }
        assert_eq!(distrusted(&metadata, own), None);
    }
}

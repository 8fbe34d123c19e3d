//! This host, as the policy floor asks about it ([`policy::Host`](Host)): files, users, credentials, variables.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use nix::libc;
use nix::unistd::{Gid, Uid, getgroups};

use crate::http;
use crate::policy::import::Shelf;
use crate::policy::program::Pinned;
use crate::policy::program::Program;
use crate::policy::{Account, Finding, Found, Host, Missing, Tls, TlsPart};
use crate::sandbox::{Identity, User, program};
use crate::vocab::{AbsPath, Chain, Secret};

/// Longer than any key; what is longer is another file.
const SECRET_MAX: u64 = 64 << 10;

/// The host that kernos runs on. To be asked while the process is still who it was started as.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisHost;

impl Host for ThisHost {
    fn program(&self, name: &str, search: &str, users: &[Account]) -> Result<Found, Missing> {
        // A directory of the search path that is not absolute would depend on where kernos was started.
        let search: Vec<AbsPath> = search.split(':').filter_map(|path| AbsPath::parse(path).ok()).collect();
        let users: Vec<User> = users.iter().map(user).collect();
        let chain = program::chain(name, &search, &users).map_err(|error| missing(&error))?;
        let unguarded = chain.iter().find(|facts| !facts.guarded).map(|facts| facts.path.clone());
        let mut files = chain.iter().map(Pinned::from);
        let file = files.next().expect("a chain begins with the program itself");
        Ok(Found { program: Program { file, interpreters: files.collect() }, unguarded })
    }

    fn directory(&self, path: &AbsPath) -> Result<AbsPath, Missing> {
        let canonical = fs::canonicalize(path).map_err(|error| Missing(format!("{path}: {error}")))?;
        if !canonical.is_dir() {
            return Err(Missing(format!("{path} is not a directory")));
        }
        let text =
            canonical.to_str().ok_or_else(|| Missing(format!("{path} leads to a path that is not UTF-8")))?;
        AbsPath::parse(text).map_err(|error| missing(&error))
    }

    fn account(&self, name: &str) -> Result<Account, Missing> {
        let found = Identity::find(name).map_err(|error| missing(&error))?;
        Ok(Account { name: name.to_owned(), uid: found.uid, gid: found.gid, groups: found.groups })
    }

    fn unprivileged(&self) -> Option<Account> {
        let uid = Uid::effective();
        if uid.is_root() {
            return None;
        }
        let groups = getgroups().unwrap_or_default();
        Some(Account {
            name: uid.to_string(),
            uid: uid.as_raw(),
            gid: Gid::effective().as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        })
    }

    fn credential(&self, name: &str) -> Result<Secret, Missing> {
        check_credential(name)?;
        let directory = env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
            Missing(format!(
                "no credentials were passed: the unit needs `LoadCredential={name}` (systemd.exec(5))"
            ))
        })?;
        secret(&Path::new(&directory).join(name))
    }

    fn secret_file(&self, path: &AbsPath) -> Result<Secret, Missing> {
        secret(path.as_path())
    }

    fn examine(&self, tls: &Tls) -> Result<Vec<Finding>, Finding> {
        let mut doubts = http::examine(tls, SystemTime::now())?;
        doubts.extend(exposed(&tls.key.path));
        Ok(doubts)
    }

    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }
}

impl Shelf for ThisHost {
    fn programs(&self, search: &str) -> Vec<String> {
        let directories = search.split(':').filter(|path| path.starts_with('/'));
        let entries = directories.filter_map(|path| fs::read_dir(path).ok()).flatten().flatten();
        let programs = entries.filter(|entry| is_program(&entry.path()));
        // A name that is no text cannot be called.
        let names: BTreeSet<String> =
            programs.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.into_iter().collect()
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}

/// A user as the sandbox floor judges files by it.
pub fn user(account: &Account) -> User {
    let mut gids = account.groups.clone();
    gids.push(account.gid);
    (account.uid, gids)
}

/// A credential is named, and is not a path.
pub fn check_credential(name: &str) -> Result<(), Missing> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(Missing(format!("`{name}` is no name of a credential")));
    }
    Ok(())
}

fn secret(path: &Path) -> Result<Secret, Missing> {
    open(path)
        .and_then(|file| secret_of(&file))
        .map_err(|error| Missing(format!("{}: {error}", path.display())))
}

/// Opens what may hold a secret; a FIFO in its place hangs nobody.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// The secret that a file holds, without its last line break.
pub fn secret_of(file: &File) -> io::Result<Secret> {
    let text = contents(file)?;
    // A key is the same key in a file that was written on another system.
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is empty"));
    }
    Ok(Secret::new(line))
}

fn contents(mut file: &File) -> io::Result<String> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut text = String::new();
    // It may have been read before, by whoever handed it over.
    file.rewind()?;
    file.take(SECRET_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is longer than a secret can be"));
    }
    Ok(text)
}

/// Whether everybody on the host can read a private key.
fn exposed(key: &AbsPath) -> Option<Finding> {
    let everybody = fs::metadata(key).ok()?.mode() & nix::libc::S_IROTH != 0;
    everybody.then(|| Finding {
        part: TlsPart::Key,
        what: "everybody on this host can read this file".to_owned(),
        remedy: format!("chmod o-r {key}"),
    })
}

fn missing(error: &dyn std::error::Error) -> Missing {
    Missing(Chain(error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> AbsPath {
        AbsPath::parse(text).unwrap()
    }

    #[test]
    fn a_program_is_found_on_the_search_path() {
        let found = ThisHost.program("sh", "relative:/nowhere:/bin", &[]).unwrap();
        assert_eq!(found.program.file.path, path("/bin/sh"));
        assert_eq!(found.unguarded, None);
    }

    #[test]
    fn the_programs_of_a_search_path_are_files_that_can_be_run() {
        let place = tempfile::tempdir().unwrap();
        let (bin, text) = (place.path().join("b"), place.path().join("text"));
        std::os::unix::fs::symlink("/bin/sh", &bin).unwrap();
        fs::write(text, "").unwrap();
        fs::create_dir(place.path().join("directory")).unwrap();
        let path = place.path().to_str().unwrap();
        assert_eq!(ThisHost.programs(&format!("relative:{path}:/nowhere:{path}")), ["b"]);
    }

    #[test]
    fn a_missing_program_is_one_sentence() {
        let Missing(why) = ThisHost.program("kernos-has-no-such", "/bin", &[]).unwrap_err();
        assert_eq!(why, "no directory of the search path (/bin) has an executable file `kernos-has-no-such`");
    }

    #[test]
    fn a_directory_is_canonical() {
        let place = tempfile::tempdir().unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(place.path(), &link).unwrap();
        let found = ThisHost.directory(&path(link.to_str().unwrap())).unwrap();
        assert_eq!(found.as_path(), fs::canonicalize(place.path()).unwrap());
        assert!(ThisHost.directory(&path("/etc/passwd")).is_err());
        assert!(ThisHost.directory(&path("/nowhere")).is_err());
    }

    #[test]
    fn a_secret_file_loses_its_last_line_break_only() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("key");
        let read = || ThisHost.secret_file(&path(file.to_str().unwrap()));
        fs::write(&file, "a b\n\n").unwrap();
        assert!(read().unwrap() == Secret::new("a b\n"));
        fs::write(&file, "a b\r\n").unwrap();
        assert!(read().unwrap() == Secret::new("a b"));
        fs::write(&file, "\n").unwrap();
        assert!(read().is_err());
        fs::write(&file, "k".repeat(65_537)).unwrap();
        assert!(read().is_err());
    }

    #[test]
    fn a_credential_is_named_and_not_a_path() {
        assert!(ThisHost.credential("../shadow").is_err());
    }
}

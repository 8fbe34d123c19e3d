//! `kernos reload`, `calls` and `stop`: what root asks of the daemon that runs, over a socket of root's own.
//!
//! The daemon has given up the privilege to read its policy and its credentials again. Root hands them over as open
//! descriptors; nothing else that comes over the socket is believed, and nobody else may ask.

mod client;
mod opening;
mod server;
mod table;

use std::env;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

pub use client::{calls, reload, stop};
pub use server::serve;

use super::exit::Error;
use super::reload::Verdict;
use crate::http::{CallNow, Stopped};

/// Where the socket is, unless somebody says otherwise.
pub const SOCKET: &str = "/run/kernos/control";

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    /// Serve this policy from now on. Along comes its file, then a `SecretName` with its file for each that it names.
    Reload {
        /// What its file is called.
        file: String,
        /// Whether somebody named it; else it is the default, which must be the daemon's own.
        named: bool,
        /// How many secrets follow.
        secrets: usize,
    },
    /// A policy was to be loaded and its file cannot be used: to be told wherever a refused reload is.
    Unusable {
        /// What its file is called.
        file: String,
        /// Whether somebody named it.
        named: bool,
        /// Why not.
        why: String,
    },
    /// Which calls are there?
    Calls,
    /// End this call.
    Stop {
        /// Its number.
        call: u64,
    },
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// What became of the policy.
    Reloaded(Verdict),
    /// The calls of the moment.
    Calls(Vec<CallNow>),
    /// What became of the call.
    Stopped(Stopped),
}

/// The socket of a daemon that is about to drop its privileges: where it is told to, else where systemd made a place
/// for it (`RuntimeDirectory=`), else, for root, at [`SOCKET`]. Others have none unless they say where.
pub fn open(asked: Option<&Path>) -> Result<Option<UnixListener>, Error> {
    let Some(path) = asked.map(Path::to_owned).or_else(place) else { return Ok(None) };
    let failed = |source| Error::Control { path: path.clone(), source };
    if UnixStream::connect(&path).is_ok() {
        if asked.is_some() {
            return Err(failed(io::ErrorKind::AddrInUse.into()));
        }
        tracing::warn!("another kernos answers at {}: this one takes no orders there", path.display());
        return Ok(None);
    }
    bind(&path).map(Some).map_err(failed)
}

fn place() -> Option<PathBuf> {
    match env::var_os("RUNTIME_DIRECTORY") {
        Some(directory) => Some(Path::new(&directory).join("control")),
        None => Uid::effective().is_root().then(|| SOCKET.into()),
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    // A name alone is one in the working directory, which is there.
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|directory| !directory.exists()) {
        std::fs::DirBuilder::new().mode(0o755).create(directory)?;
    }
    remove_socket(path)?;
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Removes what an earlier daemon left behind: nobody listens there.
fn remove_socket(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::other(
            "what is there is no socket, and is left there: choose another path, or move it away",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_no_socket_is_left_where_it_is() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("kernos.toml"), place.path().join("link"));
        fs::write(&file, "precious").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [&file, &link] {
            let error = open(Some(path)).unwrap_err();
            assert!(
                matches!(&error, Error::Control { source, .. } if source.to_string().contains("no socket"))
            );
        }
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }

    #[test]
    fn the_socket_of_an_earlier_daemon_makes_way() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("made").join("control");
        drop(open(Some(&path)).unwrap().unwrap());
        let listening = open(Some(&path)).unwrap();
        assert!(listening.is_some() && UnixStream::connect(&path).is_ok());
        assert!(matches!(open(Some(&path)), Err(Error::Control { .. })), "it answers");
    }

    #[test]
    fn a_name_alone_is_one_in_the_working_directory() {
        let name = PathBuf::from(format!("kernos-test-control-{}", std::process::id()));
        let bound = bind(&name);
        let _ = fs::remove_file(&name);
        bound.unwrap();
    }
}

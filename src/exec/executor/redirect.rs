//! Opens what a plan names beneath a root: the directory of the line, and the files of its redirections.
//!
//! The kernel itself keeps the path beneath the root (openat2(2), `RESOLVE_BENEATH`), so that no link and no
//! race leads out of it; on the way to the directory it follows no link at all. A file is opened without waiting
//! and without being changed, and cut only after it is known to be a regular file.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, ftruncate, openat2, readlink};
use rustix::io::Errno;

use crate::policy::plan::{OutputStream, Place, PlannedRedirection, Target};

/// An open descriptor that several stages may share.
pub(super) type Stream = Rc<OwnedFd>;

/// A directory to start from.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How often an open is tried again that a concurrent rename has disturbed (`EAGAIN` of openat2(2)).
const TRIES: usize = 16;

/// Applies the redirections of a stage to its streams, in the order in which they were written.
pub(super) fn apply(
    redirections: &[PlannedRedirection],
    streams: &mut [Stream; 3],
    null: &Stream,
) -> Result<(), String> {
    for redirection in redirections {
        match redirection {
            PlannedRedirection::Input(target) => streams[0] = opened(target, Use::Read, null)?,
            PlannedRedirection::Output { stream, target, append } => {
                let how = if *append { Use::Append } else { Use::Replace };
                let stream = match stream {
                    OutputStream::Stdout => 1,
                    OutputStream::Stderr => 2,
                };
                streams[stream] = opened(target, how, null)?;
            }
            PlannedRedirection::Both(target) => {
                streams[1] = opened(target, Use::Replace, null)?;
                streams[2] = Rc::clone(&streams[1]);
            }
            PlannedRedirection::ErrorsToOutput => streams[2] = Rc::clone(&streams[1]),
        }
    }
    Ok(())
}

/// Opens the directory in which a line runs. A leading `..` means what the policy takes it for only where no link
/// was followed.
pub(super) fn directory(place: &Place) -> Result<OwnedFd, String> {
    opened_beneath(place, DIRECTORY, ResolveFlags::NO_SYMLINKS).map_err(|error| {
        let why = Reason { error, place };
        match place.relative.as_str() {
            "" => format!("the directory {} cannot be entered: {why}", place.root),
            relative => format!("the directory `{relative}` beneath {} cannot be entered: {why}", place.root),
        }
    })
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Read,
    Replace,
    Append,
}

impl Use {
    fn flags(self) -> OFlags {
        match self {
            Self::Read => OFlags::RDONLY,
            Self::Replace => OFlags::WRONLY | OFlags::CREATE,
            Self::Append => OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND,
        }
    }
}

fn opened(target: &Target, how: Use, null: &Stream) -> Result<Stream, String> {
    let (place, written) = match target {
        Target::Null => return Ok(Rc::clone(null)),
        Target::File { place, written } => (place, written),
    };
    let refused = |error| format!("`{written}` cannot be opened: {}", Reason { error, place });
    let file =
        beneath(place, how.flags() | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).map_err(refused)?;
    if let Some(kind) = irregular(&file).map_err(refused)? {
        return Err(format!("`{written}` is {kind}: only regular files and /dev/null can be redirected"));
    }
    if how == Use::Replace {
        ftruncate(&file, 0).map_err(refused)?;
    }
    Ok(Rc::new(file))
}

fn beneath(place: &Place, flags: OFlags) -> Result<OwnedFd, Errno> {
    opened_beneath(place, flags, ResolveFlags::empty())
}

fn opened_beneath(place: &Place, flags: OFlags, narrower: ResolveFlags) -> Result<OwnedFd, Errno> {
    let root = root(place)?;
    if place.relative.is_empty() && flags.contains(OFlags::PATH) {
        return Ok(root);
    }
    let relative = if place.relative.is_empty() { "." } else { &place.relative };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | narrower;
    // The mask of the plan is this process's own while its call runs.
    let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o666) } else { Mode::empty() };
    let mut opened = Err(Errno::AGAIN);
    for _ in 0..TRIES {
        opened = openat2(&root, relative, flags, mode, resolve);
        if opened.as_ref().err() != Some(&Errno::AGAIN) {
            break;
        }
    }
    opened
}

/// Opens the root itself. Its links were followed when the policy was loaded: one that is on the way now was put
/// there since, and leads elsewhere.
fn root(place: &Place) -> Result<OwnedFd, Errno> {
    openat2(CWD, place.root.as_path(), DIRECTORY, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// What it is, if it is no regular file.
fn irregular(file: impl AsFd) -> Result<Option<&'static str>, Errno> {
    Ok(match FileType::from_raw_mode(fstat(file)?.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a FIFO"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        _ => Some("no regular file"),
    })
}

/// Where what is open lies, without links.
fn path(open: impl AsFd) -> Result<String, Errno> {
    let link = format!("/proc/self/fd/{}", open.as_fd().as_raw_fd());
    Ok(readlink(link, Vec::new())?.to_string_lossy().into_owned())
}

/// Why something beneath a root cannot be opened, in words.
struct Reason<'p> {
    error: Errno,
    place: &'p Place,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error {
            Errno::XDEV => write!(f, "it leads out of {}", self.place.root),
            // A FIFO that nobody reads, and a socket, do not open: they are looked at instead.
            Errno::NXIO => match beneath(self.place, OFlags::PATH | OFlags::CLOEXEC).and_then(irregular) {
                Ok(Some(kind)) => {
                    write!(f, "it is {kind}, and only regular files and /dev/null can be redirected")
                }
                _ => io::Error::from(self.error).fmt(f),
            },
            Errno::LOOP => match beneath(self.place, DIRECTORY).and_then(path) {
                Ok(path) => write!(f, "there is a symbolic link on the way; write {path}, where it leads"),
                Err(Errno::XDEV) => write!(f, "it leads out of {}", self.place.root),
                Err(_) => f.write_str("there is a symbolic link on the way"),
            },
            error => io::Error::from(error).fmt(f),
        }
    }
}

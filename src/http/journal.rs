//! journald's native protocol: one message an event, each field by itself.
//!
//! Not a logger: it sends what it is given and says whether that worked.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr, sendto,
};

/// Where journald listens (systemd-journald.service(8)).
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a full socket is waited for before its path is looked at again: another journald may listen there.
const PATIENCE: Duration = Duration::from_secs(1);

/// A way to journald that survives its restarts: nothing is connected.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    eager: UnixDatagram,
    patient: UnixDatagram,
}

impl Journal {
    /// Prepares to send to the socket at `path`; whether anybody listens shows with the first event.
    pub fn open(path: &Path) -> io::Result<Self> {
        let eager = UnixDatagram::unbound()?;
        eager.set_nonblocking(true)?;
        let patient = UnixDatagram::unbound()?;
        patient.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { path: path.to_owned(), eager, patient })
    }

    /// `KEY=value\n`, or with the length before the value where that holds a line break.
    pub(super) fn message(fields: &[(String, String)]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(512);
        for (name, value) in fields {
            bytes.extend_from_slice(name.as_bytes());
            if value.contains('\n') {
                bytes.push(b'\n');
                bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            } else {
                bytes.push(b'=');
            }
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(b'\n');
        }
        bytes
    }

    /// Sends a message where that takes no time.
    pub(super) fn send_at_once(&self, message: &[u8]) -> io::Result<()> {
        self.send_by(&self.eager, message)
    }

    /// Sends a message, and waits for a full socket.
    pub(super) fn send(&self, message: &[u8]) -> io::Result<()> {
        self.send_by(&self.patient, message)
    }

    /// As a datagram, or in a file of its own where it is larger than a datagram may be.
    fn send_by(&self, socket: &UnixDatagram, message: &[u8]) -> io::Result<()> {
        let to = SocketAddrUnix::new(&self.path)?;
        match sendto(socket, message, SendFlags::NOSIGNAL, &to) {
            Ok(_) => Ok(()),
            Err(too_large @ (Errno::MSGSIZE | Errno::NOBUFS)) => {
                let file = sealed(message).map_err(|_| too_large)?;
                Ok(hand_over(socket, &file, &to)?)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The message in memory that nobody can change any more, which journald insists on.
fn sealed(message: &[u8]) -> io::Result<OwnedFd> {
    let memory = memfd_create("kernos-event", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(memory);
    file.write_all(message)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file.into())
}

fn hand_over(socket: &UnixDatagram, file: &OwnedFd, to: &SocketAddrUnix) -> rustix::io::Result<()> {
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg_addr(socket, to, &[IoSlice::new(&[])], &mut control, SendFlags::NOSIGNAL).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Read, Seek};

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    fn event() -> Vec<u8> {
        Journal::message(&[("A".to_owned(), "one".to_owned()), ("B".to_owned(), "x\ny".to_owned())])
    }

    /// The file that came in place of a datagram.
    fn received(journald: &UnixDatagram) -> File {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut payload = [0; 16];
        let mut into = [IoSliceMut::new(&mut payload)];
        let message = recvmsg(journald, &mut into, &mut control, RecvFlags::empty()).unwrap();
        assert_eq!(message.bytes, 0, "the file is all that is sent");
        let Some(RecvAncillaryMessage::ScmRights(mut files)) = control.drain().next() else {
            panic!("no file was handed over");
        };
        files.next().unwrap().into()
    }

    #[test]
    fn a_value_with_a_line_break_bears_its_length() {
        assert_eq!(event(), b"A=one\nB\n\x03\0\0\0\0\0\0\0x\ny\n");
    }

    #[test]
    fn an_event_arrives_as_one_datagram() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        Journal::open(&path).unwrap().send_at_once(&event()).unwrap();
        let mut received = [0; 64];
        let length = journald.recv(&mut received).unwrap();
        assert_eq!(received[..length], event());
    }

    #[test]
    fn an_event_that_no_datagram_holds_arrives_whole_in_a_file_that_is_sealed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let large =
            Journal::message(&[("A".to_owned(), "x".repeat(1 << 20)), ("B".to_owned(), "y".to_owned())]);
        Journal::open(&path).unwrap().send_at_once(&large).unwrap();
        let mut file = received(&journald);
        let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
        assert!(seals.contains(SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE));
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes == large);
    }

    #[test]
    fn nobody_listening_and_a_full_queue_are_failures_and_neither_blocks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = Journal::open(&path).unwrap();
        assert!(journal.send_at_once(&event()).is_err());

        let _never_reads = UnixDatagram::bind(&path).unwrap();
        let refused = (0..100_000).find_map(|_| journal.send_at_once(&event()).err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }
}

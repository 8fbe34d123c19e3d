//! journald's native protocol: one datagram an event, each field by itself.
//!
//! Not a logger: it sends what it is given and says whether that worked.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where journald listens (systemd-journald.service(8)).
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a full queue is waited for. The queue is short (`net.unix.max_dgram_qlen`), and journald empties
/// it in far less when it works at all.
const PATIENCE: Duration = Duration::from_millis(20);

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

    /// Sends one event. `patiently` waits a moment for a full queue.
    pub(super) fn send(&self, fields: &[(String, String)], patiently: bool) -> io::Result<()> {
        let datagram = datagram(fields);
        match self.eager.send_to(&datagram, &self.path) {
            Err(error) if patiently && error.kind() == io::ErrorKind::WouldBlock => {
                self.patient.send_to(&datagram, &self.path).map(drop)
            }
            sent => sent.map(drop),
        }
    }
}

/// `KEY=value\n`, or with the length before the value where that holds a line break.
fn datagram(fields: &[(String, String)]) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> [(String, String); 2] {
        [("A".to_owned(), "one".to_owned()), ("B".to_owned(), "x\ny".to_owned())]
    }

    #[test]
    fn a_value_with_a_line_break_bears_its_length() {
        assert_eq!(datagram(&fields()), b"A=one\nB\n\x03\0\0\0\0\0\0\0x\ny\n");
    }

    #[test]
    fn an_event_arrives_as_one_datagram() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        Journal::open(&path).unwrap().send(&fields(), false).unwrap();
        let mut received = [0; 64];
        let length = journald.recv(&mut received).unwrap();
        assert_eq!(received[..length], datagram(&fields()));
    }

    #[test]
    fn nobody_listening_and_a_full_queue_are_failures_and_neither_blocks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = Journal::open(&path).unwrap();
        assert!(journal.send(&fields(), true).is_err());

        let _never_reads = UnixDatagram::bind(&path).unwrap();
        let refused = (0..100_000).find_map(|_| journal.send(&fields(), true).err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }
}

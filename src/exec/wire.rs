//! Messages and descriptors over a socket (unix(7), `SCM_RIGHTS`), and a blocking end of one.
//!
//! The daemon's end of the executor's sockets is asynchronous, and in `pool`.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::protocol::{Frames, framed};

/// Standard output, standard error, standard input.
const DESCRIPTORS_MAX: usize = 3;

/// A plan of the usual size comes in one piece.
const CHUNK: usize = 16 * 1024;

/// Sends what the socket takes of `bytes`, with descriptors on the first of them.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("more descriptors than a message carries"));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// A blocking socket with what has come over it.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    frames: Frames,
    descriptors: VecDeque<OwnedFd>,
}

impl Channel {
    /// An end without anything read from it.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, frames: Frames::default(), descriptors: VecDeque::new() }
    }

    /// Sends one message whole.
    pub fn send(&self, message: &impl Serialize) -> io::Result<()> {
        self.send_with(message, &[])
    }

    /// Sends one message whole, and at most three descriptors along with it.
    pub fn send_with(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = framed(message)?;
        let mut sent = send(self.socket.as_fd(), &bytes, descriptors)?;
        while sent < bytes.len() {
            sent += send(self.socket.as_fd(), &bytes[sent..], &[])?;
        }
        Ok(())
    }

    /// Waits for the next message; `None` when the other end is closed.
    pub fn receive<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        loop {
            if let Some(message) = self.frames.next()? {
                return Ok(Some(message));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// Whether something has been read that was not asked for yet: the socket does not tell of it again.
    pub(super) fn holds_more(&self) -> bool {
        !self.frames.0.is_empty()
    }

    /// The next descriptor that came along, in the order in which they were sent.
    pub fn descriptor(&mut self) -> io::Result<OwnedFd> {
        self.descriptors.pop_front().ok_or_else(|| io::Error::other("a message came without its descriptors"))
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let held = self.frames.0.len();
        self.frames.0.resize(held + CHUNK, 0);
        let mut parts = [IoSliceMut::new(&mut self.frames.0[held..])];
        let received = recvmsg(&self.socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC);
        self.frames.0.truncate(held + received.as_ref().map_or(0, |received| received.bytes));
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        match received {
            Ok(received) => Ok(received.bytes),
            // Closed with something unread.
            Err(Errno::CONNRESET) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

//! Root's end of the control socket: asks, prints what is answered, and ends with the code that belongs to it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Uid;

use super::opening::Opening;
use super::table::{json, table};
use super::{Answer, Ask};
use crate::daemon::cli::{Calls, Reload, Stop};
use crate::daemon::exit::{Error, Exit};
use crate::daemon::policy_file::PACKAGED;
use crate::daemon::reload::Verdict;
use crate::daemon::{load, policy_file, print, tell};
use crate::exec::wire::Channel;
use crate::http::Stopped;
use crate::vocab::Chain;

/// Longer than a reload takes, which is milliseconds, and a stop, which is five seconds at most; with what was asked
/// before.
const PATIENCE: Duration = Duration::from_secs(30);

/// `kernos reload`: hands the policy and its secrets over, and prints the verdict.
pub fn reload(arguments: &Reload) -> Result<Exit, Error> {
    let path = arguments.config.as_deref().unwrap_or(PACKAGED.as_ref());
    let (file, named) = (path.display().to_string(), arguments.config.is_some());
    let mut daemon = Daemon::at(&arguments.control)?;
    let answer = match policy_file::open_trusted(path) {
        Ok(policy) => daemon.hand_over(file, named, &policy)?,
        Err(error) => daemon.ask(&Ask::Unusable { file, named, why: Chain(&error).to_string() })?,
    };
    let Answer::Reloaded(Verdict { diagnostics, outcome }) = answer else { return Err(daemon.confused()) };
    tell(&diagnostics.concat());
    match outcome.exit() {
        Exit::Done => print(&format!("{outcome}\n"))?,
        _ => tell(&format!("kernos: {outcome}\n")),
    }
    Ok(outcome.exit())
}

/// `kernos calls`: what runs now.
pub fn calls(arguments: &Calls) -> Result<Exit, Error> {
    let mut daemon = Daemon::at(&arguments.control)?;
    let Answer::Calls(calls) = daemon.ask(&Ask::Calls)? else { return Err(daemon.confused()) };
    print(&if arguments.json { json(&calls) } else { table(&calls) })?;
    Ok(Exit::Done)
}

/// `kernos stop`: ends a call and says whether it is gone.
pub fn stop(arguments: &Stop) -> Result<Exit, Error> {
    let call = arguments.call;
    let mut daemon = Daemon::at(&arguments.control)?;
    let Answer::Stopped(stopped) = daemon.ask(&Ask::Stop { call })? else { return Err(daemon.confused()) };
    match stopped {
        Stopped::Gone => print(&format!("call {call} has ended\n")).map(|()| Exit::Done),
        Stopped::Ending => Err(Error::NotEnded { call }),
        Stopped::Unknown => Err(Error::NoCall { call }),
    }
}

/// The daemon, as far as it can be asked.
struct Daemon<'p> {
    control: &'p Path,
    channel: Channel,
}

impl<'p> Daemon<'p> {
    fn at(control: &'p Path) -> Result<Self, Error> {
        Self::with(control, PATIENCE)
    }

    fn with(control: &'p Path, patience: Duration) -> Result<Self, Error> {
        let failed = |source| Error::Unreachable { path: control.to_owned(), source };
        let stream = UnixStream::connect(control).map_err(failed)?;
        stream.set_read_timeout(Some(patience)).map_err(failed)?;
        Ok(Self { control, channel: Channel::new(OwnedFd::from(stream)) })
    }

    fn ask(&mut self, ask: &Ask) -> Result<Answer, Error> {
        self.send(ask, &[])?;
        self.answer()
    }

    /// Opens each secret that the policy names, as the daemon no longer can.
    fn hand_over(&mut self, file: String, named: bool, policy: &File) -> Result<Answer, Error> {
        let opening = Opening::as_root();
        if let Ok(policy) = policy_file::read_open(file.clone(), policy) {
            // What is wrong with it is the daemon's to say.
            let _ = load::compile(&policy, &opening);
        }
        let secrets = opening.opened();
        self.send(&Ask::Reload { file, named, secrets: secrets.len() }, &[policy])?;
        for (name, file) in &secrets {
            self.send(name, &[file])?;
        }
        self.answer()
    }

    fn send(&mut self, message: &impl serde::Serialize, files: &[&File]) -> Result<(), Error> {
        let descriptors: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
        self.channel.send_with(message, &descriptors).map_err(|source| self.lost(source))
    }

    fn answer(&mut self) -> Result<Answer, Error> {
        let answer = self.channel.receive().map_err(|source| self.lost(source))?;
        answer.ok_or_else(|| self.lost(io::Error::other("it closed the connection")))
    }

    /// It answered something else.
    fn confused(&self) -> Error {
        self.lost(io::Error::other("it says something else: is it of another version?"))
    }

    fn lost(&self, source: io::Error) -> Error {
        lost(self.control, source, Uid::effective().is_root())
    }
}

/// A daemon hangs up on whoever is not root, unheard. What root has asked it may have done all the same.
fn lost(control: &Path, source: io::Error, is_root: bool) -> Error {
    let path = control.to_owned();
    match source.kind() {
        io::ErrorKind::WouldBlock => {
            Error::Unanswered { path, source: io::Error::new(io::ErrorKind::TimedOut, "no answer in time") }
        }
        _ if is_root => Error::Unanswered { path, source },
        _ => Error::Dismissed { path },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    #[test]
    fn a_daemon_that_hangs_up_on_somebody_is_told_from_one_that_is_silent() {
        let closed = |is_root| {
            let error = lost("/c".as_ref(), io::Error::other("it closed the connection"), is_root);
            (Chain(&error).to_string(), error.exit())
        };
        assert_eq!(
            closed(false),
            (
                "the daemon at /c has closed the connection at once: it answers only root".to_owned(),
                Exit::Permission
            )
        );
        let unknown = "the daemon at /c has not answered, so that the outcome is unknown: \
                       look at `/ready` or the journal: it closed the connection";
        assert_eq!(closed(true), (unknown.to_owned(), Exit::Unavailable));
    }

    #[test]
    fn of_what_is_not_answered_in_time_the_outcome_is_unknown() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        let silent = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut channel = Channel::new(OwnedFd::from(stream));
            channel.receive::<Ask>().unwrap();
            channel
        });
        let mut daemon = Daemon::with(&path, Duration::from_millis(500)).unwrap();
        let Err(error) = daemon.ask(&Ask::Calls) else { panic!("nobody has answered") };
        drop(silent.join().unwrap());
        let said = Chain(&error).to_string();
        assert!(said.ends_with("unknown: look at `/ready` or the journal: no answer in time"), "{said}");
    }
}

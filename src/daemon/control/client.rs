//! Root's end of the control socket: asks, prints what is answered, and ends with the code that belongs to it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::table::table;
use super::{Answer, Ask};
use crate::daemon::cli::{Calls, Reload, Stop};
use crate::daemon::exit::{Error, Exit};
use crate::daemon::handed::Opening;
use crate::daemon::reload::Verdict;
use crate::daemon::{load, policy_file, print, tell};
use crate::exec::wire::Channel;
use crate::http::Stopped;
use crate::vocab::Chain;

/// Longer than a reload takes: compiling takes milliseconds, calls that are ended have two seconds to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// `kernos reload`: hands the policy and its secrets over, and prints the verdict.
pub fn reload(arguments: &Reload) -> Result<Exit, Error> {
    let path = arguments.config.as_path();
    let mut daemon = Daemon::at(&arguments.control)?;
    let answer = match policy_file::open_trusted(path) {
        Ok(file) => daemon.hand_over(path, &file)?,
        Err(error) => daemon.ask(&Ask::Unusable { why: Chain(&error).to_string() })?,
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
    if arguments.json {
        print(&format!("{:#}\n", serde_json::json!(calls)))?;
    } else {
        print(&table(&calls))?;
    }
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
        let failed = |source| Error::Unreachable { path: control.to_owned(), source };
        let stream = UnixStream::connect(control).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Self { control, channel: Channel::new(OwnedFd::from(stream)) })
    }

    fn ask(&mut self, ask: &Ask) -> Result<Answer, Error> {
        self.send(ask, &[])?;
        self.answer()
    }

    /// Opens each secret that the policy names, as the daemon no longer can.
    fn hand_over(&mut self, path: &Path, file: &File) -> Result<Answer, Error> {
        let name = path.display().to_string();
        let opening = Opening::as_root();
        if let Ok(policy) = policy_file::read_open(name.clone(), file) {
            // What is wrong with it is the daemon's to say.
            let _ = load::compile(&policy, &opening);
        }
        let secrets = opening.opened();
        self.send(&Ask::Reload { file: name, secrets: secrets.len() }, &[file])?;
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
        // It closes the socket of whoever is not root, and says nothing to them.
        answer.ok_or_else(|| self.lost(io::ErrorKind::ConnectionReset.into()))
    }

    /// It answered something else: it is of another version.
    fn confused(&self) -> Error {
        self.lost(io::ErrorKind::InvalidData.into())
    }

    fn lost(&self, source: io::Error) -> Error {
        Error::Unanswered { path: self.control.to_owned(), source }
    }
}

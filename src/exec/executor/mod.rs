//! The executor process (`kernos executor`): gives up its privileges, then forks a worker for each call at
//! once.
//!
//! It holds no secret and no listener, has one thread, and starts no command itself: its workers do, each the
//! ancestor of one call's processes. It ends when the daemon's end of its control socket is closed and its
//! workers are gone. What a worker that dies leaves behind becomes a child of this process, and is killed.

mod clone;
mod line;
mod means;
mod redirect;
mod spending;
mod stage;
mod tree;
mod worker;

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Resource, Rlimit, setrlimit, setsid};

use self::clone::Fork;
use self::means::Means;
use super::protocol::{Greeting, Hire, Settings};
use super::wire::Channel;
use crate::sandbox::{Confined, Identity, Privileged, process};
use crate::vocab::Chain;

/// Serves the daemon over descriptor 0, as the executor and then, after a fork, as a worker.
pub fn main(privileged: Privileged) -> ExitCode {
    clone::close_inherited();
    clone::quiet_signals();
    match serve(privileged) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kernos executor: {error}");
            ExitCode::from(71)
        }
    }
}

fn serve(privileged: Privileged) -> io::Result<()> {
    // In a session of its own a Ctrl-C is the daemon's alone to answer.
    setsid()?;
    let mut control = control_socket()?;
    let Some(settings) = control.receive::<Settings>()? else {
        return Ok(());
    };
    let prepared = prepare(privileged, &settings);
    let greeting: Greeting = prepared.as_ref().map(|_| ()).map_err(Clone::clone);
    control.send(&greeting)?;
    let Ok((_confined, children)) = prepared else {
        return Ok(());
    };
    let means = Means::of_this_process()?;
    let mut executor = Executor { control, children, workers: HashSet::new(), means: means.clone() };
    match executor.supervise()? {
        None => Ok(()),
        Some(socket) => {
            // A worker keeps nothing of the executor's, or the daemon would not learn of the executor's end.
            drop(executor);
            worker::serve(socket, settings.users, &means)
        }
    }
}

/// Takes the control socket from descriptor 0 and leaves /dev/null there.
fn control_socket() -> io::Result<Channel> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)?;
    Ok(Channel::new(socket))
}

fn prepare(privileged: Privileged, settings: &Settings) -> Result<(Confined, SignalFd), String> {
    let identity = settings.identity.clone();
    let identity = identity.map(|(uid, gid, groups)| Identity { name: None, uid, gid, groups });
    let confined = privileged.confine(identity.as_ref()).map_err(|error| Chain(&error).to_string())?;
    process::adopt_orphans().map_err(|error| Chain(&error).to_string())?;
    // The memory of a program that crashes is nobody's business, and the disk is not the agent's to fill.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|error| error.to_string())?;
    tree::verify_listing().map_err(|error| format!("{}: {error}", tree::LISTING))?;
    let children = worker::children().map_err(|error| error.to_string())?;
    Ok((confined, children))
}

/// What came of a word of the daemon's.
enum Asked {
    /// It will say nothing more.
    Nothing,
    /// It wants a worker, and has it if there could be one.
    Hired,
    /// This is the process of that worker, and its socket.
    AmWorker(OwnedFd),
}

/// The executor, once it is ready.
struct Executor {
    control: Channel,
    children: SignalFd,
    workers: HashSet<Pid>,
    /// What this process had before any command ran. Its workers inherit it.
    means: Means,
}

impl Executor {
    /// Hires workers until the daemon is gone and they are too. In a new worker it returns the socket to
    /// serve.
    fn supervise(&mut self) -> io::Result<Option<OwnedFd>> {
        let mut open = true;
        while open || !self.workers.is_empty() {
            let wanted = if open { PollFlags::IN } else { PollFlags::empty() };
            let mut ready = [PollFd::new(&self.children, PollFlags::IN), PollFd::new(&self.control, wanted)];
            let polled = if open { &mut ready[..] } else { &mut ready[..1] };
            if poll(polled, None).is_err() {
                continue;
            }
            let [ended, asked] = ready.map(|ready| !ready.revents().is_empty());
            if ended {
                let _ = self.children.read_signal();
                self.clean_up();
            }
            if asked {
                match self.hire()? {
                    Asked::Nothing => open = false,
                    Asked::Hired => {}
                    Asked::AmWorker(socket) => return Ok(Some(socket)),
                }
            }
        }
        Ok(None)
    }

    fn hire(&mut self) -> io::Result<Asked> {
        let Some(Hire) = self.control.receive()? else {
            return Ok(Asked::Nothing);
        };
        let socket = self.control.descriptor()?;
        if Means::of_this_process()? != self.means {
            return Err(io::Error::other("a command has changed what every later one would have: it ends"));
        }
        match clone::fork() {
            Ok(Fork::Child) => return Ok(Asked::AmWorker(socket)),
            Ok(Fork::Parent(worker)) => _ = self.workers.insert(worker),
            // Too many processes, perhaps those of one call: closing the socket fails the call that asked, no
            // other.
            Err(error) => eprintln!("kernos executor: a worker cannot be forked: {error}"),
        }
        Ok(Asked::Hired)
    }

    /// Reaps workers that have ended and kills what they left behind: every child that is no worker.
    fn clean_up(&mut self) {
        let workers = &mut self.workers;
        tree::kill_stopped(workers);
        tree::reap(|pid, _| _ = workers.remove(&pid));
        let spare = workers.clone();
        tree::end(&spare, |pid, _| _ = workers.remove(&pid));
    }
}

//! The boot, one line a step.
//!
//! The order matters: what needs a privilege comes before it is dropped, and threads come after, because
//! privileges are a thread's own.

use std::io;
use std::os::unix::net::UnixListener;

use tokio::runtime::{Builder, Runtime};

use super::cli::Serve;
use super::exit::{Error, Exit};
use super::handed::Started;
use super::host::{self, ThisHost};
use super::load::{self, Chosen};
use super::service::Booted;
use super::{control, listen, log};
use crate::exec::{Executor, Launched};
use crate::http::Record;
use crate::policy::{Account, Diagnostic, Host, Server};
use crate::sandbox::{Identity, Privileged, User, process};
use crate::vocab::{Chain, escaped};

/// Serves until told to stop.
pub fn serve(arguments: &Serve) -> Result<Exit, Error> {
    let provisional = log::provisional();
    let chosen = load::choose(arguments)?;
    let ended = boot(arguments, &chosen, provisional);
    if let Some(welcome) = &chosen.welcome {
        welcome.remove();
    }
    ended
}

fn boot(arguments: &Serve, chosen: &Chosen, provisional: log::Provisional) -> Result<Exit, Error> {
    let privileged = Privileged::at_start();
    let (policy, warnings) = load::sound(&chosen.file)?;
    let format = log::start(policy.log(), provisional)?;
    warn(&warnings);
    listen::permitted(policy.access(), &arguments.listen)?;
    let listeners = listen::open(&policy.server().listen, &arguments.listen)?;
    let control = control(chosen, arguments)?;
    let started = Started::with(&policy);
    let executor = launch(policy.server())?;
    // After the executor, which hands the lower limit on to commands.
    process::open_all_files();
    let confined = privileged.confine(daemon(policy.server()).as_ref()).map_err(Error::Confine)?;
    let runtime = runtime()?;
    confined.verify().map_err(Error::Confine)?;
    let (required, environment) = (policy.log().required, policy.server().environment.clone());
    let record = Record::new(log::sink(format)?, required, environment).map_err(no_threads)?;
    let reread = chosen.file_to_reread(arguments);
    let name = chosen.file.source.name.clone();
    let booted = Booted { policy, name, listeners, control, started, reread, executor, confined, record };
    let served = runtime.block_on(booted.serve(chosen.welcome.as_ref()));
    Ok(served.map_or_else(|error| fatal(&error), |()| Exit::Done))
}

/// Tells the log what the policy says less than one could believe. `kernos check` shows the lines that are meant.
fn warn(warnings: &[Diagnostic]) {
    for Diagnostic { file, line, column, message, remedy, .. } in warnings {
        let remedy = remedy.as_ref().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
        tracing::warn!("{}", escaped(&format!("{file}:{line}:{column}: {message}{remedy}")));
    }
}

/// Tells the log, where all that happened since stands, what ended kernos.
fn fatal(error: &Error) -> Exit {
    tracing::error!("{}", Chain(error));
    error.exit()
}

/// Where root gives orders. A first look, which nobody set up, does without where it cannot be.
fn control(chosen: &Chosen, arguments: &Serve) -> Result<Option<UnixListener>, Error> {
    match control::open(arguments.control.as_deref()) {
        Err(error) if chosen.welcome.is_some() && arguments.control.is_none() => {
            tracing::warn!("{}", Chain(&error));
            Ok(None)
        }
        opened => opened,
    }
}

fn launch(server: &Server) -> Result<Launched, Error> {
    let itself = ThisHost.unprivileged();
    let users: Vec<User> = server.accounts().chain(&itself).map(host::user).collect();
    let identity = server.executor.as_ref().map(identity);
    Executor::launch(identity.as_ref(), &users).map_err(Error::Executor)
}

fn daemon(server: &Server) -> Option<Identity> {
    server.daemon.as_ref().map(identity)
}

fn identity(account: &Account) -> Identity {
    let Account { name, uid, gid, groups } = account.clone();
    Identity { name: Some(name), uid, gid, groups }
}

fn runtime() -> Result<Runtime, Error> {
    let built = Builder::new_multi_thread().enable_all().thread_name("kernos").build();
    built.map_err(no_threads)
}

fn no_threads(source: io::Error) -> Error {
    Error::System { doing: "start threads", source }
}

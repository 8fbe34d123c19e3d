//! The boot, one line a step, and what is left of it when kernos stops.
//!
//! The order matters: what needs a privilege comes before it is dropped, and threads come after, because
//! privileges are a thread's own.

use std::cell::Cell;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::cli::Serve;
use super::exit::Error;
use super::handed::Started;
use super::host::{self, ThisHost};
use super::load::{self, Chosen};
use super::reload::Steward;
use super::{control, listen, log, notify, pulse, tell};
use crate::exec::{Executor, Launched};
use crate::http::{self, Build, Door, Parts, Record};
use crate::policy::{Account, Host, Policy, Server};
use crate::sandbox::{Confined, Gap, Identity, Privileged, User, process};
use crate::tools::Runner;

/// With no call left the executor ends in moments; kernos does not wait longer for it than this.
const EXECUTOR_ENDS: Duration = Duration::from_secs(5);

/// Serves until told to stop.
pub fn serve(arguments: &Serve) -> Result<(), Error> {
    let provisional = log::provisional();
    let chosen = load::choose(arguments)?;
    let ended = boot(arguments, &chosen, provisional);
    if let Some(welcome) = &chosen.welcome {
        welcome.remove();
    }
    ended
}

fn boot(arguments: &Serve, chosen: &Chosen, provisional: log::Provisional) -> Result<(), Error> {
    let privileged = Privileged::at_start();
    let policy = load::sound(&chosen.file)?;
    listen::permitted(policy.access(), &arguments.listen)?;
    let listeners = listen::open(&policy.server().listen, &arguments.listen)?;
    let control = match (&chosen.welcome, &arguments.control) {
        (Some(_), None) => None,
        (_, asked) => control::open(asked.as_deref())?,
    };
    let started = Started::with(&policy);
    let executor = launch(policy.server())?;
    // After the executor, which hands the lower limit on to commands.
    process::open_all_files();
    let confined = privileged.confine(daemon(policy.server()).as_ref()).map_err(Error::Confine)?;
    let runtime = runtime()?;
    confined.verify().map_err(Error::Confine)?;
    let format = log::start(policy.log(), provisional)?;
    let record = Record::new(log::sink(format)?, policy.log().required, policy.server().environment.clone());
    let booted = Booted { policy, listeners, control, started, executor, confined, record };
    runtime.block_on(run(booted, arguments, chosen))
}

/// What is there once nothing needs a privilege any more.
struct Booted {
    policy: Policy,
    listeners: Vec<TcpListener>,
    control: Option<UnixListener>,
    started: Started,
    executor: Launched,
    confined: Confined,
    record: Record,
}

async fn run(booted: Booted, arguments: &Serve, chosen: &Chosen) -> Result<(), Error> {
    let Booted { policy, listeners, control, started, executor, confined, record } = booted;
    let listening = listen::addresses(&listeners)?;
    let mut signals = Signals::install()?;
    let executor = Arc::new(executor.into_async().await.map_err(Error::Executor)?);
    let process_gaps = gaps(&confined);
    let gaps = load::gaps(&policy, &process_gaps);
    for gap in &gaps {
        tracing::warn!("not held: {gap}");
    }
    let door = Door::new(Parts {
        policy: Arc::new(policy),
        runner: Arc::clone(&executor) as Arc<dyn Runner>,
        record,
        build: Build {
            version: env!("CARGO_PKG_VERSION"),
            revision: env!("KERNOS_COMMIT"),
            privileges_dropped: true,
        },
        listening: listening.clone(),
        gaps,
    });
    let tls = door.policy().server().tls.is_some();
    for address in listening.iter().filter(|address| !tls && !address.ip().to_canonical().is_loopback()) {
        tracing::warn!(
            "keys and answers cross the network in the clear at {address}: write `tls` under [server], or put a proxy \
             that ends TLS in front"
        );
    }
    let places = listening.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    tracing::info!(uid = confined.uid(), executor = executor.pid(), tls, "serving on {places}");
    let steward = Arc::new(Steward {
        door: Arc::clone(&door),
        started,
        gaps: process_gaps,
        file: chosen.file_to_reread(arguments),
        turn: Mutex::default(),
    });
    let chores = CancellationToken::new();
    let pulse = pulse::beat(Arc::clone(&door), Arc::clone(&executor), places.clone());
    tokio::spawn(chores.clone().run_until_cancelled_owned(pulse));
    if let Some(control) = control {
        let orders = control::serve(control, Arc::clone(&steward));
        tokio::spawn(chores.clone().run_until_cancelled_owned(orders));
    }
    notify::ready(&pulse::status(&places, &door));
    if let (Some(welcome), [first, ..]) = (&chosen.welcome, &*listening) {
        tell(&format!("\n{}\n", welcome.message(*first)));
    }
    let lost = Cell::new(false);
    let shutdown = async {
        tokio::select! {
            name = signals.until_told_to_stop(&steward) => tracing::info!("{name}: stopping"),
            () = executor.gone() => lost.set(true),
        }
        chores.cancel();
        notify::stopping("waiting for running calls");
    };
    let served = http::serve(listeners, door, shutdown).await;
    if tokio::time::timeout(EXECUTOR_ENDS, executor.close()).await.is_err() {
        tracing::warn!("the executor has not ended yet");
    }
    served.map_err(|source| Error::System { doing: "serve", source })?;
    if lost.get() { Err(Error::ExecutorGone) } else { Ok(()) }
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
    built.map_err(|source| Error::System { doing: "start threads", source })
}

/// What this process does not hold, one sentence each. That one user is shared is among the policy's own gaps.
fn gaps(confined: &Confined) -> Vec<String> {
    let gaps = confined.gaps().into_iter().filter(|gap| !matches!(gap, Gap::SharedUser { .. }));
    gaps.map(|gap| gap.to_string()).collect()
}

/// The signals that a service gets.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> Result<Self, Error> {
        let installed =
            |kind| signal(kind).map_err(|source| Error::System { doing: "handle a signal", source });
        Ok(Self {
            terminate: installed(SignalKind::terminate())?,
            interrupt: installed(SignalKind::interrupt())?,
            hangup: installed(SignalKind::hangup())?,
        })
    }

    /// Returns when kernos is to stop. Until then it loads the policy again on each SIGHUP.
    async fn until_told_to_stop(&mut self, steward: &Steward) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {}
            }
            if steward.reread().await.is_none() {
                // There is no file: its terminal is gone.
                return "SIGHUP";
            }
        }
    }
}

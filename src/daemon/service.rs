//! What serves once nothing needs a privilege any more, and what is left of it when kernos stops.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::cli::VERSION;
use super::exit::Error;
use super::handed::Started;
use super::reload::Steward;
use super::signals::Signals;
use super::welcome::Welcome;
use super::{beat, control, listen, load, notify, tell};
use crate::exec::{Executor, Launched};
use crate::http::{self, Build, Door, Parts, Record};
use crate::policy::Policy;
use crate::sandbox::{Confined, Gap};
use crate::tools::Runner;

/// With no call left the executor ends in moments; kernos does not wait longer for it than this.
const EXECUTOR_ENDS: Duration = Duration::from_secs(5);

/// What the boot has made.
pub struct Booted {
    /// What is served.
    pub policy: Policy,
    /// What its file is called.
    pub name: String,
    /// Where.
    pub listeners: Vec<TcpListener>,
    /// Where root gives orders.
    pub control: Option<UnixListener>,
    /// What the host said.
    pub started: Started,
    /// The file to read again on SIGHUP.
    pub reread: Option<PathBuf>,
    /// What starts the commands.
    pub executor: Launched,
    /// The proof that there is no privilege left.
    pub confined: Confined,
    /// Where decisions are put on record.
    pub record: Record,
}

impl Booted {
    /// Serves until told to stop.
    pub async fn serve(self, welcome: Option<&Welcome>) -> Result<(), Error> {
        let Self { policy, name, listeners, control, started, reread, executor, confined, record } = self;
        let listening = listen::addresses(&listeners)?;
        let mut signals = Signals::install()?;
        let executor = Arc::new(executor.into_async().await.map_err(Error::Executor)?);
        let own_gaps = gaps(&confined);
        let gaps = load::gaps(&policy, &own_gaps);
        let door = Door::new(Parts {
            policy: Arc::new(policy),
            runner: Arc::clone(&executor) as Arc<dyn Runner>,
            record,
            build: build(),
            listening: listening.clone(),
            gaps: gaps.clone(),
        });
        warn(&gaps, &listening, &door);
        let places = listening.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let says = start_line(&door.policy(), &name, &listening, control.as_ref());
        tracing::info!(uid = confined.uid(), executor = executor.pid(), "{says}");
        let turn = Mutex::default();
        let steward = Arc::new(Steward {
            door: Arc::clone(&door),
            places,
            started,
            gaps: own_gaps,
            file: reread,
            turn,
        });
        let chores = chores(&steward, &executor, control);
        notify::ready(steward.status());
        if let (Some(welcome), [first, ..]) = (welcome, &*listening) {
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
        close(&executor).await;
        served.map_err(|source| Error::System { doing: "serve", source })?;
        if lost.get() { Err(Error::ExecutorGone) } else { Ok(()) }
    }
}

fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION"),
        revision: env!("KERNOS_COMMIT"),
        rustc: env!("KERNOS_RUSTC"),
        privileges_dropped: true,
    }
}

/// What this process does not hold, one sentence each. That one user is shared is among the policy's own gaps.
fn gaps(confined: &Confined) -> Vec<String> {
    let gaps = confined.gaps().into_iter().filter(|gap| !matches!(gap, Gap::SharedUser { .. }));
    gaps.map(|gap| gap.to_string()).collect()
}

/// What somebody who reads the log wants to know first: what serves, where, under which policy.
fn start_line(
    policy: &Policy,
    name: &str,
    listening: &[SocketAddr],
    control: Option<&UnixListener>,
) -> String {
    let scheme = if policy.server().tls.is_some() { "https" } else { "http" };
    let places: Vec<_> = listening.iter().map(|address| format!("{scheme}://{address}")).collect();
    let control = control.and_then(|control| control.local_addr().ok());
    let control = control.as_ref().and_then(|address| address.as_pathname());
    let orders = control.map(|path| format!("orders of root at {}", path.display()));
    format!(
        "kernos {VERSION} serving on {}; policy {name}, sha256 {}; {}",
        places.join(", "),
        policy.digest(),
        orders.as_deref().unwrap_or("no orders of root are taken")
    )
}

/// Says what an operator must know before the first call comes.
fn warn(gaps: &[String], listening: &[SocketAddr], door: &Door) {
    for gap in gaps {
        tracing::warn!("not held: {gap}");
    }
    let tls = door.policy().server().tls.is_some();
    for address in listening.iter().filter(|address| !tls && !address.ip().to_canonical().is_loopback()) {
        tracing::warn!(
            "keys and answers cross the network in the clear at {address}: write `tls` under [server], or put a proxy \
             that ends TLS in front"
        );
    }
}

/// What is done besides serving, until it is cancelled.
fn chores(
    steward: &Arc<Steward>,
    executor: &Arc<Executor>,
    control: Option<UnixListener>,
) -> CancellationToken {
    let chores = CancellationToken::new();
    let beat = beat::beat(Arc::clone(steward), Arc::clone(executor));
    tokio::spawn(chores.clone().run_until_cancelled_owned(beat));
    if let Some(control) = control {
        let orders = control::serve(control, Arc::clone(steward));
        tokio::spawn(chores.clone().run_until_cancelled_owned(orders));
    }
    chores
}

async fn close(executor: &Executor) {
    if tokio::time::timeout(EXECUTOR_ENDS, executor.close()).await.is_err() {
        tracing::warn!("the executor has not ended yet");
    }
}

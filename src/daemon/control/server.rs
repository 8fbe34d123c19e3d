//! The daemon's end of the control socket.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use tokio::net::UnixListener;
use tokio::runtime::Handle;

use super::{Answer, Ask};
use crate::daemon::handed::{SecretName, Secrets};
use crate::daemon::reload::Steward;
use crate::exec::wire::Channel;

/// Whoever asks has its question ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is wrong with accepting, such as too many open files, takes a while to be over.
const PAUSE: Duration = Duration::from_secs(5);

/// Answers whoever is root, one after another, for as long as it is polled.
pub async fn serve(listener: std::os::unix::net::UnixListener, steward: Arc<Steward>) {
    let listener = match listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener)) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "no orders are taken from root"),
    };
    loop {
        let stream = match accept(&listener).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "whoever has an order for kernos is not heard");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let steward = Arc::clone(&steward);
        // The answer is written with what blocks: it needs a thread that may wait.
        let answered = tokio::task::spawn_blocking(move || answer(stream, &steward)).await;
        if let Err(error) | Ok(Err(error)) = answered.map_err(io::Error::other) {
            tracing::warn!(%error, "an order could not be answered");
        }
    }
}

async fn accept(listener: &UnixListener) -> io::Result<StdStream> {
    let (stream, _) = listener.accept().await?;
    stream.into_std()
}

fn answer(stream: StdStream, steward: &Steward) -> io::Result<()> {
    let peer = socket_peercred(&stream)?;
    if !peer.uid.is_root() {
        return Err(io::Error::other(format!("uid {} is not root", peer.uid.as_raw())));
    }
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut channel = Channel::new(OwnedFd::from(stream));
    let Some(ask) = channel.receive()? else { return Ok(()) };
    let runtime = Handle::current();
    let (answer, reloading) = match ask {
        Ask::Reload { file, named, secrets } => {
            let policy = channel.descriptor()?;
            let secrets = Secrets::Handed(handed(&mut channel, secrets)?);
            let (verdict, reloading) = runtime.block_on(async {
                match steward.mistaken(&file, named) {
                    None => steward.reload(file, policy.into(), secrets).await,
                    Some(why) => steward.refuse(why).await,
                }
            });
            (Answer::Reloaded(verdict), Some(reloading))
        }
        Ask::Unusable { file, named, why } => {
            let why = steward.mistaken(&file, named).unwrap_or(why);
            let (verdict, reloading) = runtime.block_on(steward.refuse(why));
            (Answer::Reloaded(verdict), Some(reloading))
        }
        Ask::Calls => (Answer::Calls(runtime.block_on(steward.door.calls_now())), None),
        Ask::Stop { call } => (Answer::Stopped(runtime.block_on(steward.door.stop_call(call))), None),
    };
    let sent = channel.send(&answer);
    drop(reloading);
    sent
}

fn handed(channel: &mut Channel, count: usize) -> io::Result<BTreeMap<SecretName, File>> {
    let secret = |_| {
        let name = channel.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((name, channel.descriptor()?.into()))
    };
    (0..count).map(secret).collect()
}

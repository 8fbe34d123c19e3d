//! What a daemon wrote to its standard error.

use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::processes::eventually;

/// Lines of a stream, as they come.
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

impl Log {
    /// Reads the stream from now on.
    pub fn collect(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (to, waits) = (Arc::clone(&lines), Arc::clone(&stopped));
        let reader = thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                while waits.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(5));
                }
                to.lock().expect("nobody panics while holding it").push(line);
            }
        });
        Self { lines, stopped, reader }
    }

    /// Reads nothing more, as a reader that hangs.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Reads again.
    pub fn go_on(&self) {
        self.stopped.store(false, Ordering::Relaxed);
    }

    /// Everything so far.
    pub fn whole(&self) -> String {
        self.lines().join("\n")
    }

    /// The lines that are JSON.
    pub fn events(&self) -> Vec<Value> {
        self.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for the first event of which this holds.
    pub fn await_event(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        eventually(what, || {
            found = self.events().into_iter().find(&holds);
            found.is_some()
        });
        found.expect("it was seen")
    }

    /// Waits until everybody who could write to the stream has closed it.
    pub fn await_end(&self) {
        eventually("the end of the log", || self.reader.is_finished());
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().expect("nobody panics while holding it")
    }
}

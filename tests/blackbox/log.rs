//! What a daemon wrote to its standard error.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::processes::eventually;

/// Lines of a stream, as they come.
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Log {
    /// Reads the stream from now on.
    pub fn collect(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                to.lock().expect("nobody panics while holding it").push(line);
            }
        });
        Self { lines, reader }
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

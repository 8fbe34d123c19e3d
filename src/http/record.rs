//! The record: what is decided is put there, and whether that works is known.
//!
//! An event that could not be written is counted, shows in `/ready`, and under `[log] required = true` stops
//! further calls until a write works again.

use std::io;
use std::sync::Arc;
use std::thread;

use prometheus::core::Collector;
use serde_json::{Map, Value};

use super::audit::Event;
use super::queue::{Entry, Queue};
use super::sink::Sink;

/// The record: it numbers events, writes them, and knows whether that works.
#[derive(Debug)]
pub struct Record {
    queue: Arc<Queue>,
    required: bool,
}

impl Record {
    /// A record in `sink`. `required`: no record, no call. `environment` is a label that every event bears.
    pub fn new(sink: Sink, required: bool, environment: Option<String>) -> io::Result<Self> {
        let common = environment.map(|value| ("environment".to_owned(), Value::from(value)));
        let queue = Arc::new(Queue::new(sink, Map::from_iter(common)));
        let writer = Arc::clone(&queue);
        thread::Builder::new().name("kernos-record".to_owned()).spawn(move || writer.run())?;
        Ok(Self { queue, required })
    }

    /// Writes one event.
    pub(super) fn write(&self, event: &Event) {
        let Ok(Value::Object(fields)) = serde_json::to_value(event) else {
            unreachable!("an event is a struct of strings and numbers")
        };
        self.queue.add(Entry { text: event.sentence(), priority: event.priority(), fields });
    }

    /// Whether events are written.
    pub(super) fn works(&self) -> bool {
        self.queue.works()
    }

    /// Whether calls are held up because the record fails.
    pub(super) fn holds_calls(&self) -> bool {
        self.required && !self.works()
    }

    /// Waits a moment for what is yet to be written: kernos ends.
    pub(super) fn flush(&self) {
        self.queue.flush();
    }

    /// What is measured of it.
    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 3] {
        let Queue { written, lost, waiting, .. } = &*self.queue;
        [Box::new(written.clone()), Box::new(lost.clone()), Box::new(waiting.clone())]
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::http::journal::Journal;

    fn event() -> Event {
        Event::refused("unknown", None, Duration::from_micros(5)).at([127, 0, 0, 1].into(), "ab12")
    }

    fn record(path: &Path, required: bool) -> Record {
        Record::new(Sink::Journal(Journal::open(path).unwrap()), required, None).unwrap()
    }

    /// Written, lost and waiting.
    fn counts(record: &Record) -> (u64, u64, i64) {
        let Queue { written, lost, waiting, .. } = &*record.queue;
        (written.get(), lost.get(), waiting.get())
    }

    fn until(mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not happen");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// `KERNOS_SEQ` and `KERNOS_LOST` of the next event; `None` when none comes any more.
    fn next(journald: &UnixDatagram) -> Option<(u64, u64)> {
        let mut received = [0; 1024];
        let length = journald.recv(&mut received).ok()?;
        let text = String::from_utf8_lossy(&received[..length]);
        let number =
            |name| text.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.parse().unwrap());
        Some((number("KERNOS_SEQ=").unwrap(), number("KERNOS_LOST=").unwrap_or(0)))
    }

    /// 100,000 events of four threads; `read` is called before each is read. Every one must be accounted for.
    fn besieged(mut read: impl FnMut(usize) + Send) -> (u64, u64) {
        const THREADS: u64 = 4;
        const EACH: u64 = 25_000;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        journald.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let record = record(&path, false);
        let events = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut events = Vec::new();
                loop {
                    read(events.len());
                    let Some(event) = next(&journald) else { return events };
                    events.push(event);
                }
            });
            for _ in 0..THREADS {
                scope.spawn(|| (0..EACH).for_each(|_| record.write(&event())));
            }
            reader.join().unwrap()
        });
        let (written, lost, waiting) = counts(&record);
        assert!(events.is_sorted_by(|one, next| one.0 < next.0), "events are written in their order");
        assert_eq!((events.len() as u64, waiting), (written, 0));
        let drawn = events.last().unwrap().0 + 1;
        assert_eq!(drawn, written + lost, "a gap for each that was lost, and for nothing else");
        let (notices, told): (Vec<_>, Vec<_>) = events.iter().filter(|event| event.1 > 0).copied().unzip();
        assert_eq!(told.iter().sum::<u64>(), lost, "every loss is told");
        assert_eq!(drawn, THREADS * EACH + notices.len() as u64);
        assert!(record.works());
        (written, lost)
    }

    #[test]
    fn a_hundred_thousand_events_at_once_are_all_written_in_their_order() {
        assert_eq!(besieged(|_| {}), (100_000, 0));
    }

    #[test]
    fn a_reader_that_pauses_loses_nothing_that_is_not_told() {
        let (written, lost) = besieged(|read| {
            if read % 10_000 == 0 {
                thread::sleep(Duration::from_millis(300));
            }
        });
        assert!(written + lost >= 100_000);
    }

    #[test]
    fn what_a_reader_that_stops_cannot_take_is_kept_within_bounds_then_counted_and_told() {
        let begun = Instant::now();
        let (written, lost) = besieged(|read| {
            if read == 1000 {
                thread::sleep(Duration::from_secs(5));
            }
        });
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for each event");
        assert!(written > 5_000 && lost > 10_000, "{written} {lost}");
    }

    #[test]
    fn a_required_record_that_fails_stops_calls_until_a_write_works_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let record = record(&path, true);
        assert!(!record.holds_calls());
        record.write(&event());
        record.write(&event());
        assert_eq!((record.works(), record.holds_calls(), counts(&record)), (false, true, (0, 0, 2)));

        let journald = UnixDatagram::bind(&path).unwrap();
        until(|| !record.holds_calls());
        assert_eq!((next(&journald), next(&journald)), (Some((0, 0)), Some((1, 0))), "they were kept");
        until(|| counts(&record) == (2, 0, 0));
    }

    #[test]
    fn a_record_that_is_not_required_holds_no_call() {
        let record = record(Path::new("/nonexistent/socket"), false);
        record.write(&event());
        assert_eq!((record.works(), record.holds_calls()), (false, false));
    }

    #[test]
    fn whoever_writes_waits_for_a_slow_reader_a_moment_and_never_for_one_that_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let record = record(&path, true);
        let begun = Instant::now();
        (0..2000).for_each(|_| record.write(&event()));
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        until(|| !record.works());
        assert!(begun.elapsed() >= Duration::from_millis(900), "a pause is no failure yet");
        let (done, more) = mpsc::channel();
        let reader = thread::spawn(move || {
            while more.try_recv().is_err() {
                let _ = journald.set_read_timeout(Some(Duration::from_millis(10)));
                let _ = next(&journald);
            }
        });
        until(|| record.works() && counts(&record) == (2000, 0, 0));
        done.send(()).unwrap();
        reader.join().unwrap();
    }

    #[test]
    #[ignore = "needs root and systemd-journald; run by .ci/run"]
    fn a_real_journal_has_each_of_a_hundred_thousand_events_in_its_order() {
        let journald = Journald::start();
        let record = record(&journald.socket(), false);
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..25_000).for_each(|_| record.write(&event())));
            }
        });
        let took = begun.elapsed();
        until(|| counts(&record).2 == 0);
        let (written, lost, _) = counts(&record);
        println!("100,000 events in {took:?}: {written} written, {lost} lost");
        let mut numbers = Vec::new();
        until(|| {
            numbers = journald.numbers();
            numbers.len() as u64 >= written
        });
        assert!(numbers.is_sorted_by(|one, next| one < next), "each once, in their order");
        assert_eq!((numbers.len() as u64, numbers.last().unwrap() + 1), (written, written + lost));
    }

    /// A journald beside the one that there may be, in a namespace of its own. It has no unit, so no rate is kept.
    struct Journald {
        name: String,
        child: std::process::Child,
    }

    impl Journald {
        fn start() -> Self {
            let name = format!("kernos-{}", std::process::id());
            std::fs::create_dir_all(format!("/run/systemd/journal.{name}")).unwrap();
            let child =
                std::process::Command::new("/lib/systemd/systemd-journald").arg(&name).spawn().unwrap();
            let journald = Self { name, child };
            until(|| UnixDatagram::unbound().unwrap().connect(journald.socket()).is_ok());
            journald
        }

        fn socket(&self) -> std::path::PathBuf {
            format!("/run/systemd/journal.{}/socket", self.name).into()
        }

        /// Every `KERNOS_SEQ` of its journal.
        fn numbers(&self) -> Vec<u64> {
            let output = std::process::Command::new("journalctl")
                .arg(format!("--namespace={}", self.name))
                .args(["--quiet", "--output=cat", "--output-fields=KERNOS_SEQ", "SYSLOG_IDENTIFIER=kernos"])
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
        }
    }

    impl Drop for Journald {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = std::fs::remove_dir_all(format!("/run/systemd/journal.{}", self.name));
            for place in ["/run/log/journal", "/var/log/journal"] {
                for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
                    if entry.file_name().to_string_lossy().ends_with(&format!(".{}", self.name)) {
                        let _ = std::fs::remove_dir_all(entry.path());
                    }
                }
            }
        }
    }
}

//! Where events go, and whether they got there.
//!
//! An event that could not be written is counted, shows in `/ready`, and under `[log] required = true` stops
//! further calls until a write works again.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use prometheus::IntCounter;
use serde_json::{Map, Value};

use super::audit::Event;
use super::journal::Journal;

/// Where events go.
#[derive(Debug)]
pub enum Sink {
    /// To journald, each field by itself.
    Journal(Journal),
    /// One JSON line an event on standard error.
    Json,
    /// One line an event on standard error, for people.
    Text,
}

/// The record: it numbers events, writes them, and knows whether that works.
#[derive(Debug)]
pub struct Record {
    sink: Sink,
    environment: Option<String>,
    required: bool,
    sequence: AtomicU64,
    failing: AtomicBool,
    pub(super) written: IntCounter,
    pub(super) lost: IntCounter,
}

impl Record {
    /// A record in `sink`. `required`: no record, no call. `environment` is a label that every event bears.
    pub fn new(sink: Sink, required: bool, environment: Option<String>) -> Self {
        let counter = |name, help| IntCounter::new(name, help).expect("the names are valid");
        Self {
            sink,
            environment,
            required,
            sequence: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            written: counter("kernos_record_events_total", "Audit events written."),
            lost: counter("kernos_record_events_lost_total", "Audit events that could not be written."),
        }
    }

    /// Writes one event.
    pub(super) fn write(&self, event: &Event) {
        let Ok(Value::Object(fields)) = serde_json::to_value(event) else {
            self.lost.inc();
            return;
        };
        self.put(&event.sentence(), event.priority(), fields);
    }

    /// Whether the last write worked.
    pub(super) fn works(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
    }

    /// Whether a call may go ahead: the record works, or works again, or is not required.
    pub(super) fn admits(&self) -> bool {
        if !self.holds_calls() {
            return true;
        }
        let lost = self.lost.get();
        let fields = Map::from_iter([("lost".to_owned(), Value::from(lost))]);
        self.put(&format!("the record is written again; {lost} events were lost"), 4, fields)
    }

    /// Whether calls are held up because the record fails.
    pub(super) fn holds_calls(&self) -> bool {
        self.required && !self.works()
    }

    fn put(&self, message: &str, priority: u8, mut fields: Map<String, Value>) -> bool {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        fields.insert("seq".to_owned(), sequence.into());
        if let Some(environment) = &self.environment {
            fields.insert("environment".to_owned(), environment.as_str().into());
        }
        let written = match &self.sink {
            Sink::Journal(journal) => journal.send(&journal_fields(message, priority, &fields), self.works()),
            Sink::Json => line(&json_line(message, priority, fields)),
            Sink::Text => line(&text_line(message, &fields)),
        };
        self.failing.store(written.is_err(), Ordering::Relaxed);
        let counter = if written.is_ok() { &self.written } else { &self.lost };
        counter.inc();
        written.is_ok()
    }
}

fn line(text: &str) -> io::Result<()> {
    io::stderr().lock().write_all(text.as_bytes())
}

fn journal_fields(message: &str, priority: u8, fields: &Map<String, Value>) -> Vec<(String, String)> {
    let fixed = [
        ("MESSAGE".to_owned(), message.to_owned()),
        ("PRIORITY".to_owned(), priority.to_string()),
        ("SYSLOG_IDENTIFIER".to_owned(), "kernos".to_owned()),
    ];
    let named = fields.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (format!("KERNOS_{}", name.to_ascii_uppercase()), value)
    });
    fixed.into_iter().chain(named).collect()
}

fn json_line(message: &str, priority: u8, fields: Map<String, Value>) -> String {
    let level = if priority <= 4 { "WARN" } else { "INFO" };
    let mut whole = Map::from_iter([
        ("timestamp".to_owned(), Value::from(jiff::Timestamp::now().to_string())),
        ("level".to_owned(), level.into()),
        ("target".to_owned(), "kernos::audit".into()),
        ("message".to_owned(), message.into()),
    ]);
    whole.extend(fields);
    format!("{}\n", Value::Object(whole))
}

fn text_line(message: &str, fields: &Map<String, Value>) -> String {
    let request = fields.get("request_id").and_then(Value::as_str).unwrap_or_default();
    format!("{} audit {message} request={request}\n", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::*;

    fn event() -> Event {
        Event::refused("unknown-key", Duration::from_micros(5)).at([127, 0, 0, 1].into(), "ab12")
    }

    #[test]
    fn an_event_has_its_fields_in_the_journal() {
        let Ok(Value::Object(fields)) = serde_json::to_value(event()) else { unreachable!() };
        let shown: Vec<String> = journal_fields("text", 4, &fields)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            shown,
            [
                "MESSAGE=text",
                "PRIORITY=4",
                "SYSLOG_IDENTIFIER=kernos",
                "KERNOS_DECISION=refused",
                "KERNOS_DURATION_US=5",
                "KERNOS_FROM=127.0.0.1",
                "KERNOS_REASON=unknown-key",
                "KERNOS_REQUEST_ID=ab12",
            ]
        );
    }

    #[test]
    fn a_required_record_that_fails_stops_calls_until_a_write_works_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let record = Record::new(Sink::Journal(Journal::open(&path).unwrap()), true, None);
        assert!(record.admits());
        record.write(&event());
        assert_eq!((record.works(), record.admits(), record.lost.get()), (false, false, 2));

        let journald = UnixDatagram::bind(&path).unwrap();
        assert_eq!((record.admits(), record.works(), record.written.get()), (true, true, 1));
        let mut received = [0; 512];
        let length = journald.recv(&mut received).unwrap();
        let text = String::from_utf8_lossy(&received[..length]);
        assert!(text.starts_with("MESSAGE=the record is written again; 2 events were lost\n"), "{text}");
        assert!(text.contains("KERNOS_SEQ=2\n"), "{text}");
    }

    #[test]
    fn a_record_that_is_not_required_only_counts() {
        let journal = Journal::open(std::path::Path::new("/nonexistent/socket")).unwrap();
        let record = Record::new(Sink::Journal(journal), false, None);
        record.write(&event());
        assert_eq!((record.works(), record.admits(), record.lost.get()), (false, true, 1));
    }
}

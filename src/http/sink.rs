//! Where events go, and the shape that they have there.

use std::io;

use serde_json::{Map, Value};

use super::journal::Journal;
use super::stderr;

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

impl Sink {
    /// An event as it is written there.
    pub(super) fn message(&self, text: &str, priority: u8, fields: Map<String, Value>) -> Vec<u8> {
        match self {
            Self::Journal(_) => Journal::message(&journal_fields(text, priority, &fields)),
            Self::Json => json_line(text, priority, fields).into_bytes(),
            Self::Text => text_line(text, &fields).into_bytes(),
        }
    }

    /// Writes the message where that takes no time.
    pub(super) fn write_at_once(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Journal(journal) => journal.send_at_once(message),
            Self::Json | Self::Text => stderr::write_at_once(message),
        }
    }

    /// Writes the message, however long that takes.
    pub(super) fn write(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Journal(journal) => journal.send(message),
            Self::Json | Self::Text => stderr::write(message),
        }
    }
}

fn journal_fields(text: &str, priority: u8, fields: &Map<String, Value>) -> Vec<(String, String)> {
    let fixed = [
        ("MESSAGE".to_owned(), text.to_owned()),
        ("PRIORITY".to_owned(), priority.to_string()),
        ("SYSLOG_IDENTIFIER".to_owned(), "kernos".to_owned()),
    ];
    let named = fields.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (format!("KERNOS_{}", name.to_ascii_uppercase()), value)
    });
    fixed.into_iter().chain(named).collect()
}

fn json_line(text: &str, priority: u8, fields: Map<String, Value>) -> String {
    let level = if priority <= 4 { "WARN" } else { "INFO" };
    let mut whole = Map::from_iter([
        ("timestamp".to_owned(), Value::from(jiff::Timestamp::now().to_string())),
        ("level".to_owned(), level.into()),
        ("target".to_owned(), "kernos::audit".into()),
        ("message".to_owned(), text.into()),
    ]);
    whole.extend(fields);
    format!("{}\n", Value::Object(whole))
}

fn text_line(text: &str, fields: &Map<String, Value>) -> String {
    let request = fields.get("request_id").and_then(Value::as_str).unwrap_or_default();
    format!("{} audit {text} request={request}\n", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_fields_in_the_journal() {
        let fields = Map::from_iter([
            ("decision".to_owned(), "refused".into()),
            ("duration_us".to_owned(), 5.into()),
            ("from".to_owned(), "127.0.0.1".into()),
        ]);
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
            ]
        );
    }
}

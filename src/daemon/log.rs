//! Where the log goes: the journal, text or JSON on standard error.
//!
//! The events of the audit go the same way; what is in them is written in `http`.

use std::env;
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

use super::exit::Error;
use crate::http::{JOURNAL_SOCKET, Journal, Lines, Sink};
use crate::policy::{Log, LogFormat};

/// Libraries whose lower levels would tell requests, arguments and outputs. rmcp's warnings quote methods and names
/// of tools as callers write them: keys, and lines of any length. What it tells of calls, such as each that its client
/// gave up, is on record.
const TALKATIVE: [(&str, LevelFilter); 5] = [
    ("rmcp", LevelFilter::ERROR),
    ("rmcp::service", LevelFilter::OFF),
    ("hyper", LevelFilter::WARN),
    ("hyper_util", LevelFilter::WARN),
    ("h2", LevelFilter::WARN),
];

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// With fields, to the journal's own socket.
    Journald,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Text on standard error, for this thread, until the policy says what it wants.
pub fn provisional() -> Provisional {
    Provisional(tracing::subscriber::set_default(text(LevelFilter::INFO)))
}

/// The provisional log, until it is dropped.
#[must_use]
pub struct Provisional(#[expect(dead_code, reason = "it acts by being dropped")] DefaultGuard);

/// Writes the log as the policy says from here on, in every thread.
pub fn start(wanted: Log, provisional: Provisional) -> Result<Format, Error> {
    let level = LevelFilter::from_level(wanted.level);
    let format = Format::of(wanted.format);
    let started = match format {
        Format::Journald => {
            let journal = journal().map_err(|source| Error::System { doing: "reach the journal", source })?;
            tracing::subscriber::set_global_default(
                Registry::default().with(journal.with_filter(filter(level))),
            )
        }
        Format::Text => tracing::subscriber::set_global_default(text(level)),
        Format::Json => tracing::subscriber::set_global_default(json(level)),
    };
    started.map_err(|error| Error::Internal(error.to_string()))?;
    drop(provisional);
    Ok(format)
}

/// Where the events of the audit go: beside the log.
pub fn sink(format: Format) -> Result<Sink, Error> {
    let failed = |source| Error::System { doing: "reach the journal", source };
    Ok(match format {
        Format::Journald => Sink::Journal(Journal::open(JOURNAL_SOCKET.as_ref()).map_err(failed)?),
        Format::Text => Sink::Text,
        Format::Json => Sink::Json,
    })
}

impl Format {
    fn of(wanted: LogFormat) -> Self {
        match wanted {
            LogFormat::Auto => suitable(),
            LogFormat::Journald => Self::Journald,
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

/// The format for where this process was started: what `format = "auto"` means.
fn suitable() -> Format {
    let stream = env::var("JOURNAL_STREAM").ok();
    let stderr = stderr_file().ok();
    match (stream, stderr) {
        (Some(stream), Some(stderr)) if names(&stream, stderr) => Format::Journald,
        _ if io::stderr().is_terminal() => Format::Text,
        _ => Format::Json,
    }
}

/// Device and inode of standard error.
fn stderr_file() -> io::Result<(u64, u64)> {
    let status = nix::sys::stat::fstat(io::stderr())?;
    Ok((status.st_dev, status.st_ino))
}

/// Whether `JOURNAL_STREAM` (systemd.exec(5)) means this file: it is inherited by processes whose output goes elsewhere.
fn names(stream: &str, (device, inode): (u64, u64)) -> bool {
    stream == format!("{device}:{inode}")
}

fn filter(level: LevelFilter) -> Targets {
    let quiet = TALKATIVE.map(|(target, most)| (target, level.min(most)));
    Targets::new().with_default(level).with_targets(quiet)
}

/// Lines for people. A layer that told of its own errors would panic once nobody reads standard error.
fn text(level: LevelFilter) -> impl Subscriber + Send + Sync {
    let terminal = io::stderr().is_terminal();
    let layer = fmt::layer()
        .with_writer(Lines::default)
        .with_ansi(terminal)
        .with_target(false)
        .log_internal_errors(false);
    Registry::default().with(layer.with_filter(filter(level)))
}

fn json(level: LevelFilter) -> impl Subscriber + Send + Sync {
    let layer =
        fmt::layer().json().flatten_event(true).with_writer(Lines::default).log_internal_errors(false);
    Registry::default().with(layer.with_filter(filter(level)))
}

fn journal() -> io::Result<tracing_journald::Layer> {
    let priorities = PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        ..PriorityMappings::default()
    };
    Ok(tracing_journald::layer()?
        .with_syslog_identifier("kernos".to_owned())
        .with_field_prefix(Some("KERNOS".to_owned()))
        .with_priority_mappings(priorities))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_journal_is_meant_only_if_it_is_this_very_stream() {
        assert!(names("8:123", (8, 123)));
        assert!(!names("8:123", (8, 124)));
        assert!(!names("", (8, 123)));
    }

    #[test]
    fn libraries_stay_quiet_at_every_level() {
        let enabled = |level, target, event| filter(level).would_enable(target, &event);
        assert!(enabled(LevelFilter::TRACE, "kernos::http", Level::TRACE));
        assert!(!enabled(LevelFilter::TRACE, "rmcp::transport", Level::WARN));
        assert!(enabled(LevelFilter::TRACE, "hyper", Level::WARN));
        assert!(enabled(LevelFilter::INFO, "rmcp::transport", Level::ERROR));
        assert!(!enabled(LevelFilter::TRACE, "rmcp::service", Level::ERROR));
        assert!(!enabled(LevelFilter::ERROR, "hyper", Level::WARN));
    }
}

//! A load generator: callers that each keep one connection and ask again as soon as they are answered.
//!
//! Compiled, so that on a small machine the client is not what is measured. Not a general HTTP client: it
//! speaks to one MCP server on loopback, or starts programs itself to show the floor under any such server.
//! Every figure is printed as one line of JSON; `benches/side_by_side` puts them side by side.

#![allow(unreachable_pub, reason = "a program exports nothing")]

mod caller;
mod floor;
mod http;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const USAGE: &str = "\
usage: load mcp   --url URL [--key KEY] [--era modern|legacy|stateless] [--callers N] [--seconds S] [--calls N] WHAT
       load floor [--callers N] [--seconds S] [--calls N] -- ARGV…
WHAT is `list`, or `-- ARGV…` for shell_execute, with `|` as a word of its own between stages.
`benches/side_by_side` runs it; see there.";

/// What every measurement needs.
struct Settings {
    url: String,
    key: Option<String>,
    era: caller::Era,
    callers: usize,
    seconds: f64,
    calls: usize,
    argv: Vec<String>,
}

/// One caller's latencies, and the last answer's size in bytes.
struct Measured {
    latencies: Vec<Duration>,
    took: Duration,
    bytes: usize,
    error: Option<String>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mode = arguments.next().unwrap_or_default();
    let settings = match (mode.as_str(), parse(arguments)) {
        ("mcp" | "floor", Ok(settings)) => settings,
        ("", _) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        (_, parsed) => {
            eprintln!("{}\n{USAGE}", parsed.err().unwrap_or_else(|| format!("no mode {mode:?}")));
            return ExitCode::from(64);
        }
    };
    let measured = if mode == "mcp" { run(&settings, caller::call) } else { run(&settings, floor::call) };
    println!("{}", summary(&settings, &measured));
    if measured.iter().all(|one| one.error.is_none()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Settings, String> {
    let mut settings = Settings {
        url: String::new(),
        key: None,
        era: caller::Era::Modern,
        callers: 1,
        seconds: 2.0,
        calls: usize::MAX,
        argv: Vec::new(),
    };
    while let Some(option) = arguments.next() {
        if option == "--" {
            settings.argv.extend(arguments);
            break;
        }
        if option == "list" {
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{option} {value}: not a number"));
        match option.as_str() {
            "--url" => settings.url = value,
            "--key" => settings.key = Some(value),
            "--era" => settings.era = value.parse()?,
            "--callers" => settings.callers = number()?,
            "--calls" => settings.calls = number()?,
            "--seconds" => settings.seconds = value.parse().map_err(|_| format!("{value}: not a number"))?,
            _ => return Err(format!("no option {option}")),
        }
    }
    Ok(settings)
}

/// Starts the callers, each with a closure of its own that makes one call, and waits for the end of time.
fn run<C>(settings: &Settings, prepare: impl Fn(&Settings) -> Result<C, String> + Sync) -> Vec<Measured>
where
    C: FnMut() -> Result<usize, String>,
{
    let end = Duration::from_secs_f64(settings.seconds);
    let ready = std::sync::Barrier::new(settings.callers);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..settings.callers)
            .map(|_| {
                scope.spawn(|| {
                    let call = prepare(settings);
                    ready.wait();
                    call.map_or_else(Measured::failed, |call| measure(call, end, settings.calls))
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("no caller panics")).collect()
    })
}

fn measure(mut call: impl FnMut() -> Result<usize, String>, end: Duration, calls: usize) -> Measured {
    let mut measured = Measured { latencies: Vec::new(), took: Duration::ZERO, bytes: 0, error: None };
    let started = Instant::now();
    while started.elapsed() < end && measured.latencies.len() < calls {
        let before = Instant::now();
        match call() {
            Ok(bytes) => measured.bytes = bytes,
            Err(error) => {
                measured.error = Some(error);
                break;
            }
        }
        measured.latencies.push(before.elapsed());
    }
    measured.took = started.elapsed();
    measured
}

impl Measured {
    fn failed(error: String) -> Self {
        Self { latencies: Vec::new(), took: Duration::ZERO, bytes: 0, error: Some(error) }
    }
}

fn summary(settings: &Settings, measured: &[Measured]) -> Value {
    let mut latencies: Vec<Duration> =
        measured.iter().flat_map(|one| one.latencies.iter().copied()).collect();
    latencies.sort_unstable();
    let percentile = |part: usize| latencies.get(latencies.len() * part / 100).map(Duration::as_micros);
    let rate = |one: &Measured| count(one.latencies.len()) / one.took.as_secs_f64().max(f64::EPSILON);
    json!({
        "callers": settings.callers,
        "calls": latencies.len(),
        "per_second": measured.iter().map(rate).sum::<f64>(),
        "p50_us": percentile(50),
        "p99_us": percentile(99),
        "bytes": measured.iter().map(|one| one.bytes).max(),
        "error": measured.iter().find_map(|one| one.error.clone()),
    })
}

fn count(number: usize) -> f64 {
    u32::try_from(number).expect("seconds are few").into()
}

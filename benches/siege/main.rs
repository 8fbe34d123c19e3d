//! kernos under attack, and over time: a daemon of its own is besieged, or worked for minutes, and measured.
//!
//! `siege` asks what an ordinary agent notices while somebody attacks, `soak` what is left behind by a long time of
//! everything at once. Neither tells how fast kernos is: `benches/side_by_side` does.

#![allow(unreachable_pub, reason = "a program exports nothing")]

mod attacks;
mod besieged;
mod bob;
#[path = "../load/http.rs"]
mod http;
mod proc;
mod sessions;
mod siege;
mod soak;
mod table;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
usage: siege siege [--quick] [--kernos PATH]
       siege siege --sessions [--kernos PATH]
       siege soak [--minutes N] [--no-reload] [--kernos PATH]
`siege` measures an ordinary key under each attack, `--sessions` what 1,000 idle sessions cost; `soak` works for
10 minutes, or N, and compares what the daemon holds before and after. The exit code is 1 where one finds a fault.";

/// What is asked for.
struct Options {
    kernos: PathBuf,
    quick: bool,
    sessions: bool,
    minutes: u64,
    reload: bool,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mode = arguments.next().unwrap_or_default();
    let parsed = parse(arguments);
    if mode.is_empty() {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    thread::spawn(end_when_told);
    let found = match (mode.as_str(), parsed) {
        ("siege", Ok(options)) if options.sessions => sessions::sessions(&options.kernos),
        ("siege", Ok(options)) => {
            siege::siege(&options.kernos, Duration::from_millis(if options.quick { 300 } else { 2000 }))
        }
        ("soak", Ok(options)) => {
            soak::soak(&options.kernos, Duration::from_secs(60 * options.minutes), options.reload)
        }
        (_, parsed) => {
            eprintln!("{}\n{USAGE}", parsed.err().unwrap_or_else(|| format!("no mode {mode:?}")));
            return ExitCode::from(64);
        }
    };
    besieged::end_running();
    match found {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        kernos: env!("CARGO_BIN_EXE_kernos").into(),
        quick: false,
        sessions: false,
        minutes: 10,
        reload: true,
    };
    while let Some(option) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{option} needs a value"));
        match option.as_str() {
            "--kernos" => options.kernos = value()?.into(),
            "--quick" => options.quick = true,
            "--sessions" => options.sessions = true,
            "--minutes" => {
                let minutes = value()?;
                options.minutes = minutes.parse().map_err(|error| format!("--minutes {minutes}: {error}"))?;
            }
            "--no-reload" => options.reload = false,
            _ => return Err(format!("no option {option}")),
        }
    }
    Ok(options)
}

/// Ends the daemon with this program when somebody ends this program.
fn end_when_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let told = runtime.expect("a runtime can be made").block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::io::Result::Ok(())
    });
    if told.is_ok() {
        besieged::end_running();
        std::process::exit(130);
    }
}

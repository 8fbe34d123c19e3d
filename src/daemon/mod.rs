//! The binary: its command line, the order of the boot, the log, and how the program ends.
//!
//! The only floor that reads the environment. What is served, and to whom, is decided below it.

pub mod beat;
pub mod boot;
pub mod check;
pub mod cli;
pub mod control;
pub mod exit;
pub mod explain;
pub mod handed;
pub mod host;
pub mod import;
pub mod key;
pub mod listen;
pub mod load;
pub mod log;
pub mod memory;
pub mod notify;
pub mod policy_file;
pub mod reload;
pub mod service;
pub mod signals;
pub mod tools;
pub mod welcome;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;

use self::cli::{Cli, Command, Key, PolicyText};
use self::exit::{Error, Exit};
use crate::exec::executor;
use crate::policy;
use crate::sandbox::{Privileged, process};
use crate::vocab::Chain;

/// Does what the arguments say.
pub fn main() -> ExitCode {
    let done = Cli::read().map(|cli| run(cli.asked()));
    match done {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => {
            tell(&format!("kernos: {}\n", Chain(&error)));
            error.exit().into()
        }
        Err(exit) => exit.into(),
    }
}

fn run(command: Command) -> Result<ExitCode, Error> {
    let done = match command {
        Command::Serve(arguments) => return boot::serve(&arguments).map(Into::into),
        Command::Executor => {
            // It works under any name.
            let _ = process::call_it(c"kernos-executor");
            return Ok(executor::main(Privileged::at_start()));
        }
        Command::Reload(arguments) => return control::reload(&arguments).map(Into::into),
        Command::Calls(arguments) => return control::calls(&arguments).map(Into::into),
        Command::Stop(arguments) => return control::stop(&arguments).map(Into::into),
        Command::Check(arguments) => return Ok(check::run(&arguments)),
        Command::Explain(arguments) => return explain::run(&arguments),
        Command::Key { make: Key::New { name } } => key::new(&name),
        Command::Key { make: Key::Hash } => key::hash(),
        Command::Policy { which: PolicyText::Default } => print(policy::DEFAULT),
        Command::Policy { which: PolicyText::Presets } => print(policy::PRESETS),
        Command::Policy { which: PolicyText::Import(arguments) } => import::run(&arguments),
        Command::Tools(arguments) => print(&tools::list(&arguments)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "kernos", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    };
    done.map(|()| Exit::Done.into())
}

/// Prints on standard output. Whoever reads it may stop when they have seen enough, as `head` does.
fn print(text: &str) -> Result<(), Error> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::System { doing: "write to standard output", source })
        }
        _ => Ok(()),
    }
}

/// Prints on standard error. A service goes on without it: `eprint!` would panic.
fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

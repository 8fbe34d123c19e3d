//! Settings of the programs that kernos replaces, a file of variables, as a policy.
//!
//! Not a promise that both mean the same: what became narrower, wider or different is written beside it and told to the
//! person. It grants nothing that the predecessors refused, but for built-in rules that the file asks for by name
//! (docs/adr/0013). No key and no secret of the file is in the policy or in a remark.

mod access;
mod commands;
mod draft;
mod env_file;
mod kasm;
mod limits;
mod patterns;
mod profile;
mod programs;
mod reputation;
mod rules;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod told;

pub use told::{Mistake, Position, Remark};

use self::commands::Commands;
use self::draft::Draft;
use self::kasm::Kasm;
use self::settings::Settings;
use super::Source;
use super::host::Host;
use crate::vocab::printable;

/// The host, as far as an import asks.
pub trait Shelf: Host {
    /// The names of all programs in `search`, directories joined by `:`.
    fn programs(&self, search: &str) -> Vec<String>;
}

/// A policy that was made of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its text.
    pub policy: String,
    /// What in it is not what it was.
    pub remarks: Vec<Remark>,
}

/// The profile that every key gets; `kernos key new` writes this name too.
const PROFILE: &str = "default";

/// Makes a policy of a file of variables, or finds every line that is no assignment.
pub fn import(source: &Source, host: &dyn Shelf) -> Result<Imported, Vec<Mistake>> {
    let assignments = env_file::parse(&source.text)?;
    let mut draft = Draft::default();
    draft.comment(format!(
        "A policy of kernos, made from {} by `kernos policy import`. Where it does not mean what the file meant, a \
         comment says so. Read it whole before it is used: docs/moving-in.md goes through it.",
        printable(&source.name),
    ));
    let settings = Settings::new(assignments, &mut draft);
    let has_keys = access::has_keys(&settings);
    server::write(&settings, host, has_keys, &mut draft);
    server::write_log(&settings, &mut draft);
    let kasm = Kasm::find(&settings);
    let has_kasm = kasm.is_some();
    let commands = allows_commands(&settings, has_kasm).then(|| {
        let search = programs::write(&settings, &mut draft);
        limits::write(&settings, &mut draft);
        Commands::find(&settings, host, &search)
    });
    if let Some(commands) = &commands {
        rules::write(commands, &mut draft);
    }
    profile::write(commands.as_ref(), has_kasm, &mut draft);
    access::write(&settings, &mut draft);
    if let Some(kasm) = kasm {
        kasm.write(&mut draft);
    }
    without_counterpart(&settings, has_kasm, &mut draft);
    settings.tell_of_others(&mut draft);
    let (policy, remarks) = draft.finish();
    Ok(Imported { policy, remarks })
}

/// Whether it is a file of the shell server: the Kasm server had nothing to run on this host.
fn allows_commands(settings: &Settings, has_kasm: bool) -> bool {
    let lists = ["ALLOW_COMMANDS", "ALLOWED_COMMANDS", "ALLOW_PATTERNS"].map(|name| settings.has(name));
    lists.contains(&true) || !has_kasm
}

/// Variables that the predecessors describe and that have nothing to become.
const WITHOUT_COUNTERPART: [(&str, &str); 7] = [
    ("KASM_DEFAULT_GROUP_ID", "no tool of kernos asks for a group"),
    ("KASM_GROUP_ID", "no tool of kernos asks for a group"),
    ("RATE_LIMIT_REQUESTS", "the predecessor did not read it; `rate` in a profile limits the calls of a key"),
    ("RATE_LIMIT_PERIOD", "the predecessor did not read it; see `rate` in docs/policy.md"),
    ("SSL_CERT_FILE", "the predecessor served no TLS by it; see `server.tls` in docs/policy.md"),
    ("SSL_KEY_FILE", "the predecessor did not read it; see `server.tls` in docs/policy.md"),
    (
        FORMER_ROOTS,
        "places in a Kasm session, and the file names no Kasm; directories of this host are [root.NAME]",
    ),
];

/// The name that `KASM_ALLOWED_ROOTS` had in former versions.
const FORMER_ROOTS: &str = "ALLOWED_ROOTS";

fn without_counterpart(settings: &Settings, has_kasm: bool, draft: &mut Draft) {
    let counts = |name: &str| has_kasm && name == FORMER_ROOTS;
    let found: Vec<_> = WITHOUT_COUNTERPART
        .iter()
        .filter(|(name, _)| !counts(name))
        .filter_map(|(name, why)| Some((settings.find(name)?, why)))
        .collect();
    if !found.is_empty() {
        draft.gap();
    }
    for (setting, why) in found {
        draft.tell(setting, format!("{}: {why}.", setting.name));
    }
}

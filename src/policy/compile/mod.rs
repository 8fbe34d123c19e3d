//! A text becomes a policy, whole, or every mistake in it becomes a diagnostic.
//!
//! Each module reads the tables of its name; this one puts them in order.

mod access;
mod examples;
mod kasm;
mod profiles;
mod roots;
mod rules;
mod server;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use toml::Spanned;

use super::diagnostic::{Diagnostic, Severity, Source};
use super::document::{Notes, Octal, Span, Table, parse};
use super::host::Host;
use super::limits::{Limits, Of};
use super::{Gap, Policy};

pub(super) use kasm::is_id as is_kasm_id;
pub use kasm::{Kasm, KasmOutput, SecretSource};
pub(super) use roots::Root;
pub use server::{Listen, Log, LogFormat, Sandbox, Server};

/// A tool that a policy may name.
#[derive(Clone, Copy, Debug)]
pub struct KnownTool {
    /// Its name.
    pub name: &'static str,
    /// The class that it belongs to, if any: `kasm:read`.
    pub class: Option<&'static str>,
    /// Whether this version has it.
    pub served: bool,
}

/// What became of a text.
#[derive(Debug)]
pub struct Compiled {
    /// The policy, if there is no error.
    pub policy: Option<Policy>,
    /// Every error and warning, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles a policy.
pub fn compile(source: &Source, host: &dyn Host, tools: &[KnownTool]) -> Compiled {
    let notes = Notes::new(source);
    let policy = Compiler { notes: &notes, host, tools, file: &source.name }.policy(&source.text);
    let (diagnostics, _) = notes.finish();
    let sound = diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error);
    Compiled { policy: policy.filter(|_| sound), diagnostics }
}

/// Every key that a policy file may hold, names of the author's choice written as `NAME`.
pub fn keys() -> BTreeSet<String> {
    let source = Source { name: String::new(), text: SPECIMEN.to_owned() };
    let notes = Notes::new(&source);
    Compiler { notes: &notes, host: &NoHost, tools: &[], file: "" }.policy(&source.text);
    notes.finish().1
}

/// Holds one of each table whose name is the author's, so that each table's keys are asked for.
const SPECIMEN: &str = "[server]\n[server.tls]\n[log]\n[root.a]\n[limits]\n[environment]\nset = {}\n[command.a.limits]\n\
    [command.a.environment]\n[command.a.sub.b]\n[profile.a.limits]\n[profile.a.roots]\n[key.a.previous]\n[anonymous]\n\
    [kasm.api_key]\n[kasm.api_secret]\n";

/// Where programs are looked up, and the `PATH` of commands, where nothing is said.
const SEARCH: &str = "/usr/bin:/bin";

/// What every module needs while it reads.
struct Compiler<'c> {
    notes: &'c Notes<'c>,
    host: &'c dyn Host,
    tools: &'c [KnownTool],
    file: &'c str,
}

impl Compiler<'_> {
    fn policy(&self, text: &str) -> Option<Policy> {
        let document = parse(text, self.notes);
        if self.notes.errors() > 0 {
            // What stands behind a syntax error is guesswork: nobody is helped by mistakes in it.
            return None;
        }
        let top = Table::root(&document, self.notes);
        let server = self.server(&top);
        let log = server::log(&top);
        let limits = top.table("limits").map(|table| Limits::read(&table, Of::Calls)).unwrap_or_default();
        let (environment, umask) = self.environment(&top);
        let roots = self.roots(&top);
        let users: Vec<_> = server.iter().flat_map(Server::accounts).cloned().collect();
        let search = environment.iter().find(|(name, _)| name == "PATH").map_or(SEARCH, |(_, path)| path);
        let rules = self.rules(&top, search, &users);
        if roots.are_sound() {
            // Without its roots a rule refuses paths that it is meant to allow.
            self.examples(&rules, &roots.sound);
        }
        let profiles = self.profiles(&top, &rules, &roots, &profiles::Common { limits, environment, umask });
        let access = self.access(&top, &profiles, server.as_ref());
        let kasm = self.kasm(&top);
        top.finish();
        let policy = Policy {
            server: server?,
            log,
            roots: roots.sound,
            access: access?,
            profiles: profiles.into_values().collect(),
            kasm,
            gaps: Vec::new(),
            digest: digest(text),
        };
        Some(Policy { gaps: gaps(&policy), ..policy })
    }

    fn environment(&self, top: &Table<'_, '_>) -> (Vec<(String, String)>, u32) {
        let default =
            || vec![("PATH".to_owned(), SEARCH.to_owned()), ("LANG".to_owned(), "C.UTF-8".to_owned())];
        let Some(table) = top.table("environment") else { return (default(), 0o022) };
        let mut variables = variables(&table, "set").unwrap_or_else(default);
        for name in table.read::<Vec<Spanned<String>>>("pass").unwrap_or_default() {
            must_name_a_variable(&name, self.notes);
            let (name, span) = (name.get_ref().clone(), name.span());
            if variables.iter().all(|(other, _)| *other != name)
                && let Some(value) = self.host.variable(&name)
            {
                must_hold_absolute_paths(&name, &value, &span, self.notes);
                variables.push((name, value));
            }
        }
        if let Some(span) = table.place("set")
            && variables.iter().all(|(name, _)| name != "PATH")
        {
            let message =
                "`environment.set` has no PATH, so that commands have none: it replaces the default";
            self.notes.warning(&span, message, format!("write PATH = \"{SEARCH}\" in it"));
        }
        let umask = table.read("umask").map_or(0o022, |Octal(mask)| mask);
        table.finish();
        (variables, umask)
    }
}

/// A table of variables and their values.
fn variables(table: &Table<'_, '_>, key: &'static str) -> Option<Vec<(String, String)>> {
    let entries = table.entries::<String>(key)?;
    let variable = |(name, value): (Spanned<String>, String)| {
        must_name_a_variable(&name, table.notes);
        must_hold_absolute_paths(name.get_ref(), &value, &name.span(), table.notes);
        (name.into_inner(), value)
    };
    Some(entries.into_iter().map(variable).collect())
}

fn must_name_a_variable(name: &Spanned<String>, notes: &Notes<'_>) {
    if name.get_ref().is_empty() || name.get_ref().contains(['=', '\0']) {
        let message = format!("`{}` cannot be the name of a variable", name.get_ref());
        notes.error(&name.span(), message, "a name is not empty, and without `=` and NUL");
    }
}

/// What a relative entry of `PATH` means is decided by whoever can write to the directory of a call.
fn must_hold_absolute_paths(name: &str, value: &str, span: &Span, notes: &Notes<'_>) {
    let relative = value.split(':').find(|entry| name == "PATH" && !entry.starts_with('/'));
    if let Some(entry) = relative {
        let message = match entry {
            "" => "PATH has an empty entry, which is the directory of the call".to_owned(),
            _ => format!(
                "PATH has a relative entry, `{entry}`: where it is depends on the directory of the call"
            ),
        };
        notes.warning(
            span,
            message,
            "whoever can write there chooses what commands start: write absolute paths",
        );
    }
}

/// What this version does not hold in the kernel, whatever the policy says.
fn gaps(policy: &Policy) -> Vec<Gap> {
    let mut gaps = vec![
        Gap::new(
            "files",
            "paths are judged where a rule lists them in its arguments: the kernel does not hold commands to their roots",
        ),
        Gap::new("programs", "the kernel does not hold commands to the programs of their rules"),
        Gap::new("network", "the kernel does not keep commands off the network"),
        Gap::new("spending", "memory, processes and file sizes of commands are not limited"),
        Gap::new("signals", "commands of different calls share a user and can signal each other"),
    ];
    if policy.server.executor.is_none() || policy.server.daemon == policy.server.executor {
        gaps.push(Gap::new("users", "kernos was not started as root: commands share the user of the daemon"));
    }
    if policy.kasm.is_some() {
        gaps.push(Gap::new("kasm", "no Kasm tool is served: [kasm] has no effect"));
    }
    gaps
}

fn digest(text: &str) -> String {
    crate::vocab::hex(&Sha256::digest(text.as_bytes()))
}

/// A host without anything, for [`keys`].
struct NoHost;

impl Host for NoHost {
    fn program(&self, _: &str, _: &str, _: &[super::Account]) -> Result<super::Found, super::Missing> {
        Err(super::Missing(String::new()))
    }
    fn directory(&self, _: &crate::vocab::AbsPath) -> Result<crate::vocab::AbsPath, super::Missing> {
        Err(super::Missing(String::new()))
    }
    fn account(&self, _: &str) -> Result<super::Account, super::Missing> {
        Err(super::Missing(String::new()))
    }
    fn unprivileged(&self) -> Option<super::Account> {
        None
    }
    fn credential(&self, _: &str) -> Result<crate::vocab::Secret, super::Missing> {
        Err(super::Missing(String::new()))
    }
    fn secret_file(&self, _: &crate::vocab::AbsPath) -> Result<crate::vocab::Secret, super::Missing> {
        Err(super::Missing(String::new()))
    }
    fn examine(&self, _: &super::Tls) -> Result<Vec<super::Finding>, super::Finding> {
        Ok(Vec::new())
    }
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

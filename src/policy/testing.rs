//! A host for tests, and policies on it.

use std::time::{Duration, SystemTime};

use super::program::{FileId, Pinned, Program};
use super::{
    Account, Compiled, Finding, Found, Host, KnownTool, Missing, Policy, Source, Tls, TlsPart, compile,
};
use crate::vocab::{AbsPath, Secret};

/// A host with a program for every name but `run-captured`, and every directory and file but `/missing`.
/// It is the first day of 2027. A file holds what a test has put there, else its own path; a certificate is doubted or refused if its path says so.
pub(crate) struct FakeHost {
    pub(crate) root: bool,
}

pub(crate) const TOOLS: &[KnownTool] = &[
    KnownTool { name: "shell_execute", class: None, served: true },
    KnownTool { name: "get_kasm_users", class: Some("kasm:read"), served: false },
];

impl Host for FakeHost {
    fn program(&self, name: &str, _: &str, _: &[Account]) -> Result<Found, Missing> {
        if name == "run-captured" {
            return Err(Missing("there is no program `run-captured` in /usr/bin:/bin".to_owned()));
        }
        let path = AbsPath::parse("/usr/bin").unwrap().resolve(name);
        let inode = name.bytes().map(u64::from).sum();
        let file = Pinned {
            canonical: path.clone(),
            path,
            id: FileId { device: 1, inode },
            privileged: name == "su",
        };
        Ok(Found { program: Program { file, interpreters: vec![] }, unguarded: None })
    }

    fn directory(&self, path: &AbsPath) -> Result<AbsPath, Missing> {
        match path.as_str() {
            "/missing" => Err(Missing("there is no directory /missing".to_owned())),
            _ => Ok(path.clone()),
        }
    }

    fn account(&self, name: &str) -> Result<Account, Missing> {
        let uid = match name {
            "kernos" => 101,
            "kernos-run" => 102,
            number => number.parse().map_err(|_| Missing(format!("there is no user `{name}`")))?,
        };
        Ok(Account { name: name.to_owned(), uid, gid: uid, groups: vec![] })
    }

    fn unprivileged(&self) -> Option<Account> {
        (!self.root).then(|| Account { name: "me".to_owned(), uid: 1000, gid: 1000, groups: vec![] })
    }

    fn credential(&self, name: &str) -> Result<Secret, Missing> {
        match name {
            "ci-key" | "kasm-key" | "kasm-secret" => Ok(Secret::new(format!("kernos_credential_{name}"))),
            _ => Err(Missing(format!("there is no credential `{name}`"))),
        }
    }

    fn secret_file(&self, path: &AbsPath) -> Result<Secret, Missing> {
        match path.as_str() {
            "/missing" => Err(Missing("/missing: there is no such file".to_owned())),
            path => Ok(Secret::new(std::fs::read_to_string(path).unwrap_or_else(|_| path.to_owned()))),
        }
    }

    fn examine(&self, tls: &Tls) -> Result<Vec<Finding>, Finding> {
        let finding =
            |part, what: &str| Finding { part, what: what.to_owned(), remedy: "another one".to_owned() };
        match (tls.certificate.path.as_str(), tls.key.path.as_str()) {
            (_, "/other-key") => Err(finding(TlsPart::Key, "it is the key of another certificate")),
            ("/expired", _) => Ok(vec![finding(TlsPart::Certificate, "it has expired")]),
            _ => Ok(Vec::new()),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "TZ").then(|| "UTC".to_owned())
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_761_600)
    }
}

/// Compiles a text as a file that root wrote.
pub(crate) fn compiled(text: &str) -> Compiled {
    let source = Source { name: "kernos.toml".to_owned(), text: text.to_owned() };
    compile(&source, &FakeHost { root: true }, TOOLS)
}

/// The policy of a text that has no mistake.
pub(crate) fn policy(text: &str) -> Policy {
    let Compiled { policy, diagnostics } = compiled(text);
    policy.unwrap_or_else(|| panic!("{}", printed(&diagnostics)))
}

/// What `kernos check` prints.
pub(crate) fn printed(diagnostics: &[super::Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect()
}

/// The tables that most tests need and none is about.
pub(crate) const FRAME: &str = r#"
[server]
user = "kernos"
run_as = "kernos-run"
sandbox = "best-effort"
[root.work]
path = "/srv/work"
[root.tmp]
path = "/tmp"
[key.alice]
sha256 = "0000000000000000000000000000000000000000000000000000000000000001"
profile = "dev"
"#;

/// The profile that it names, with what a profile needs to be of use.
pub(crate) const DEV: &str = "[profile.dev]
tools = [\"shell_execute\"]
commands = [\"ls\"]
roots = { work = \"ro\" }
";

//! From what the arguments say to a compiled policy, while this process is still who it was started as.

use std::path::PathBuf;

use super::cli::Serve;
use super::exit::Error;
use super::host::ThisHost;
use super::notify::under_systemd;
use super::policy_file::{self, PACKAGED, PolicyFile};
use super::tell;
use super::welcome::Welcome;
use crate::policy::{self, Compiled, Diagnostic, Host, Policy, Severity};
use crate::tools;

/// The policy to serve, and what was made for it if it is the default policy.
#[derive(Debug)]
pub struct Chosen {
    /// The file, or what stands for one.
    pub file: PolicyFile,
    /// The directory and the key of the default policy.
    pub welcome: Option<Welcome>,
}

impl Chosen {
    /// Where the policy is to be read from again; none where it is the default one.
    pub fn file_to_reread(&self, arguments: &Serve) -> Option<PathBuf> {
        let named = arguments.config.clone().unwrap_or_else(|| PACKAGED.into());
        // Whoever reads of it may be in another directory.
        self.welcome.is_none().then(|| std::path::absolute(&named).unwrap_or(named))
    }
}

/// Chooses the policy: the file that is named, under systemd the packaged one, and only else the default policy.
pub fn choose(arguments: &Serve) -> Result<Chosen, Error> {
    if let Some(path) = &arguments.config {
        return Ok(Chosen { file: policy_file::read(path)?, welcome: None });
    }
    if under_systemd() {
        let file = policy_file::read(PACKAGED.as_ref()).map_err(|error| Error::Packaged(Box::new(error)))?;
        return Ok(Chosen { file, welcome: None });
    }
    let welcome = Welcome::prepare()?;
    Ok(Chosen { file: PolicyFile { source: welcome.policy(), exposed: false }, welcome: Some(welcome) })
}

/// Compiles a policy for a host.
pub fn compile(file: &PolicyFile, host: &dyn Host) -> Compiled {
    let mut compiled = policy::compile(&file.source, host, &tools::known());
    let holds_secrets = compiled.policy.as_ref().and_then(Policy::kasm).is_some_and(|kasm| kasm.inline);
    if file.exposed && holds_secrets {
        let message = "everybody on this host can read this file and the secrets in it".to_owned();
        let warning = Diagnostic::new(Severity::Warning, &file.source, 0..0, message);
        compiled.diagnostics.push(warning.with_remedy(format!("chmod o-r {}", file.source.name)));
    }
    compiled
}

/// The policy of a file, with its warnings; where it has mistakes, prints all of both on standard error and fails.
pub fn sound(file: &PolicyFile) -> Result<(Policy, Vec<Diagnostic>), Error> {
    let Compiled { policy, diagnostics } = compile(file, &ThisHost);
    if let Some(policy) = policy {
        return Ok((policy, diagnostics));
    }
    for diagnostic in &diagnostics {
        tell(&diagnostic.to_string());
    }
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    Err(Error::Unsound { name: file.source.name.clone(), errors })
}

/// What is not held, one sentence each: the policy's own gaps, and those of this process.
pub fn gaps(policy: &Policy, process: &[String]) -> Vec<String> {
    let own = policy.gaps().iter().map(|gap| gap.what.to_owned());
    own.chain(process.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_is_sound_on_this_host() {
        let welcome = Welcome::prepare().unwrap();
        let compiled = compile(&PolicyFile { source: welcome.policy(), exposed: false }, &ThisHost);
        let errors: Vec<String> = compiled
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        let policy = compiled.policy.unwrap();
        assert_eq!(policy.access().principal("me").unwrap().grant().profile(), "default");
        welcome.remove();
    }

    #[test]
    fn secrets_in_a_file_that_all_can_read_are_a_warning() {
        let kasm = "\n[kasm]\nurl = \"https://kasm.example.com\"\napi_key = \"a\"\napi_secret = \"b\"\n";
        let welcome = Welcome::prepare().unwrap();
        let mut source = welcome.policy();
        source.text += kasm;
        let warned = |exposed| {
            let compiled = compile(&PolicyFile { source: source.clone(), exposed }, &ThisHost);
            assert!(compiled.policy.is_some());
            compiled.diagnostics.iter().any(|one| one.message.starts_with("everybody on this host can read"))
        };
        assert_eq!((warned(true), warned(false)), (true, false));
        welcome.remove();
    }
}

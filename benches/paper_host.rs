//! A host on paper: every program, directory and user that a policy names is there.
//!
//! For benchmarks and fuzz targets, which must not depend on the machine that they run on.

use kernos::policy::import::Shelf;
use kernos::policy::program::{FileId, Pinned, Program};
use kernos::policy::{Account, Finding, Found, Host, Missing, Tls};
use kernos::vocab::{AbsPath, Secret};

/// The host.
pub struct PaperHost;

impl Shelf for PaperHost {
    fn programs(&self, _: &str) -> Vec<String> {
        ["cat", "g++", "ls", "python3", "rg", "["].map(str::to_owned).to_vec()
    }
}

impl Host for PaperHost {
    fn program(&self, name: &str, _: &str, _: &[Account]) -> Result<Found, Missing> {
        let path = AbsPath::parse("/usr/bin").expect("it starts with /").resolve(name);
        let inode = name.bytes().map(u64::from).sum();
        let file =
            Pinned { canonical: path.clone(), path, id: FileId { device: 1, inode }, privileged: false };
        Ok(Found { program: Program { file, interpreters: Vec::new() }, unguarded: None })
    }

    fn directory(&self, path: &AbsPath) -> Result<AbsPath, Missing> {
        Ok(path.clone())
    }

    fn account(&self, name: &str) -> Result<Account, Missing> {
        let uid = name.parse().unwrap_or(1 + name.bytes().map(u32::from).sum::<u32>());
        Ok(Account { name: name.to_owned(), uid, gid: uid, groups: Vec::new() })
    }

    fn unprivileged(&self) -> Option<Account> {
        None
    }

    fn credential(&self, name: &str) -> Result<Secret, Missing> {
        Ok(Secret::new(name))
    }

    fn secret_file(&self, path: &AbsPath) -> Result<Secret, Missing> {
        Ok(Secret::new(path.as_str()))
    }

    fn examine(&self, _: &Tls) -> Result<Vec<Finding>, Finding> {
        Ok(Vec::new())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

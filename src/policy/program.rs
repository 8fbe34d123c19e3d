//! A program, resolved when the policy loads and pinned.
//!
//! Not a search: the path is fixed here, and what may stand in its place later is judged by [`Pinned::admits`].

use serde::{Deserialize, Serialize};

use crate::vocab::AbsPath;

/// Which file this is, whatever its name: device and inode (inode(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// The device that holds it, `st_dev`.
    pub device: u64,
    /// Its inode, `st_ino`.
    pub inode: u64,
}

/// What the host says of a file that is to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// The path as it was asked for.
    pub path: AbsPath,
    /// The path with every symbolic link followed.
    pub canonical: AbsPath,
    /// Device and inode of the file at the end of the links.
    pub id: FileId,
    /// A regular file with an execute bit.
    pub executable: bool,
    /// It bears the set-user-ID or the set-group-ID bit, or file capabilities.
    pub privileged: bool,
    /// Neither the file, nor a directory or link on the way to it, can be changed by the users of kernos.
    pub guarded: bool,
}

/// One file of a program: the program itself, or an interpreter of its `#!` chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// The path to start it by.
    pub path: AbsPath,
    /// Where the links led when the policy was loaded.
    pub canonical: AbsPath,
    /// The file that was there.
    pub id: FileId,
    /// Whether it bore a set-user-ID bit then.
    pub privileged: bool,
}

impl From<&FileFacts> for Pinned {
    fn from(facts: &FileFacts) -> Self {
        Self {
            path: facts.path.clone(),
            canonical: facts.canonical.clone(),
            id: facts.id,
            privileged: facts.privileged,
        }
    }
}

/// A program that a rule names: what is started, and the interpreters that the kernel starts for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The file that is started.
    pub file: Pinned,
    /// The interpreters of a script, outermost first; empty for a binary.
    pub interpreters: Vec<Pinned>,
}

/// Why the file that is there now is not the program that the policy lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Unlisted {
    /// A symbolic link leads elsewhere now.
    #[error(
        "{path} led to {was} when the policy was loaded and leads to {now} now: load the policy again to accept it"
    )]
    Elsewhere {
        /// The path that the policy resolved.
        path: AbsPath,
        /// Its end then.
        was: AbsPath,
        /// Its end now.
        now: AbsPath,
    },
    /// Another file, which the users of kernos could have put there themselves.
    #[error("{path} was replaced, and a user of kernos can write there: load the policy again to accept it")]
    Unguarded {
        /// The path that the policy resolved.
        path: AbsPath,
    },
    /// Another file, which would run as somebody else.
    #[error("{path} was replaced by a set-user-ID program: load the policy again to accept it")]
    Privileged {
        /// The path that the policy resolved.
        path: AbsPath,
    },
    /// Not a file that can be run.
    #[error("{path} is no longer an executable file")]
    NotExecutable {
        /// The path that the policy resolved.
        path: AbsPath,
    },
}

impl Pinned {
    /// Whether the file that is at the path now is still the one that the policy lists.
    ///
    /// A package upgrade puts a new inode at the same place: that is accepted where only somebody outside
    /// of kernos can have done it, and only for the same end of the same links.
    pub fn admits(&self, now: &FileFacts) -> Result<(), Unlisted> {
        let path = self.path.clone();
        if !now.executable {
            return Err(Unlisted::NotExecutable { path });
        }
        if now.canonical != self.canonical {
            return Err(Unlisted::Elsewhere {
                path,
                was: self.canonical.clone(),
                now: now.canonical.clone(),
            });
        }
        if now.id == self.id {
            return Ok(());
        }
        if now.privileged && !self.privileged {
            return Err(Unlisted::Privileged { path });
        }
        if now.guarded { Ok(()) } else { Err(Unlisted::Unguarded { path }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(canonical: &str, inode: u64, guarded: bool) -> FileFacts {
        FileFacts {
            path: AbsPath::parse("/usr/bin/awk").unwrap(),
            canonical: AbsPath::parse(canonical).unwrap(),
            id: FileId { device: 1, inode },
            executable: true,
            privileged: false,
            guarded,
        }
    }

    fn awk() -> Pinned {
        Pinned::from(&facts("/usr/bin/mawk", 7, true))
    }

    #[test]
    fn the_same_file_is_admitted() {
        assert_eq!(awk().admits(&facts("/usr/bin/mawk", 7, false)), Ok(()));
    }

    #[test]
    fn an_upgrade_by_somebody_else_is_admitted() {
        assert_eq!(awk().admits(&facts("/usr/bin/mawk", 8, true)), Ok(()));
    }

    #[test]
    fn a_replacement_that_an_agent_could_make_is_refused() {
        assert!(matches!(awk().admits(&facts("/usr/bin/mawk", 8, false)), Err(Unlisted::Unguarded { .. })));
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_refused() {
        assert!(matches!(awk().admits(&facts("/usr/bin/gawk", 7, true)), Err(Unlisted::Elsewhere { .. })));
    }

    #[test]
    fn a_new_setuid_bit_is_refused() {
        let mut now = facts("/usr/bin/mawk", 8, true);
        now.privileged = true;
        assert!(matches!(awk().admits(&now), Err(Unlisted::Privileged { .. })));
    }
}

//! A user to become: its number, its group and its groups, as the host knows them.
//!
//! Not the change itself: that is [`super::privileges`].

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{Uid, User, getgrouplist};

use super::Error;

/// Whom a process becomes when it gives up root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name, where the host has one for it.
    pub name: Option<String>,
    /// The user's number.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The supplementary groups; none for a user that is given by number.
    pub groups: Vec<u32>,
}

impl Identity {
    /// Looks up a user by name, or takes a number as it is.
    pub fn find(user: &str) -> Result<Self, Error> {
        let found = match user.parse::<u32>() {
            Ok(uid) => Self::numbered(user, uid)?,
            Err(_) => Self::named(user)?,
        };
        match found.uid {
            0 => Err(Error::Root { user: user.to_owned() }),
            _ => Ok(found),
        }
    }

    /// A user that the host need not know, in a group of the same number.
    pub fn anonymous(id: u32) -> Self {
        Self { name: None, uid: id, gid: id, groups: Vec::new() }
    }

    fn numbered(written: &str, uid: u32) -> Result<Self, Error> {
        let known = looked_up(written, User::from_uid(Uid::from_raw(uid)))?;
        Ok(Self {
            gid: known.as_ref().map_or(uid, |user| user.gid.as_raw()),
            name: known.map(|user| user.name),
            ..Self::anonymous(uid)
        })
    }

    fn named(written: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownUser { user: written.to_owned() };
        let user = looked_up(written, User::from_name(written))?.ok_or_else(unknown)?;
        let name = CString::new(written).map_err(|_| unknown())?;
        let groups = looked_up(written, getgrouplist(&name, user.gid))?;
        Ok(Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups: groups.iter().map(|gid| gid.as_raw()).collect(),
            name: Some(user.name),
        })
    }
}

fn looked_up<T>(user: &str, answer: Result<T, Errno>) -> Result<T, Error> {
    answer.map_err(|source| Error::Lookup { user: user.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_no_entry_and_has_no_groups() {
        assert_eq!(Identity::find("60901").unwrap(), Identity::anonymous(60901));
    }

    #[test]
    fn a_name_brings_its_groups() {
        let found = Identity::find("nobody").unwrap();
        assert_eq!(found.name.as_deref(), Some("nobody"));
        assert!(found.groups.contains(&found.gid));
    }

    #[test]
    fn an_unknown_name_is_refused_with_a_remedy() {
        assert_eq!(
            Identity::find("kernos-nobody-has-this").unwrap_err().to_string(),
            "there is no user `kernos-nobody-has-this` on this host: create it, or name one that exists, or write a number"
        );
    }

    #[test]
    fn root_is_nobody_to_become() {
        assert!(matches!(Identity::find("root"), Err(Error::Root { .. })));
        assert!(matches!(Identity::find("0"), Err(Error::Root { .. })));
    }
}

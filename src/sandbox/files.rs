//! What the host says of a file that is to be run: where its links lead, and who could change it.
//!
//! The path is walked component by component, because whoever can change one link or one directory on the way
//! decides what is at its end. Nothing is opened and nothing is decided here.

use std::collections::VecDeque;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use crate::policy::program::{FileFacts, FileId};
use crate::vocab::AbsPath;

/// As in the kernel (MAXSYMLINKS): more links than this are a loop.
const LINKS: usize = 40;

const STICKY: u32 = libc::S_ISVTX;
const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;
const ANY_EXECUTE: u32 = libc::S_IXUSR | libc::S_IXGRP | libc::S_IXOTH;

/// A user of kernos: its number and all its groups.
pub type User = (u32, Vec<u32>);

/// Follows every link of `path` and says what is at its end, and whether one of `users` could change that.
pub fn facts(path: &AbsPath, users: &[User]) -> io::Result<FileFacts> {
    let end = Walk::begin(users)?.follow(path)?;
    let Walk { here, metadata, guarded, .. } = end;
    Ok(FileFacts {
        path: path.clone(),
        id: FileId { device: metadata.dev(), inode: metadata.ino() },
        executable: metadata.is_file() && metadata.mode() & ANY_EXECUTE != 0,
        privileged: metadata.mode() & SET_ID != 0 || has_attribute(here.as_path(), "security.capability")?,
        guarded,
        canonical: here,
    })
}

/// A place reached without a link, and whether all that led to it is out of reach of the users.
struct Walk<'u> {
    users: &'u [User],
    here: AbsPath,
    metadata: Metadata,
    guarded: bool,
}

impl<'u> Walk<'u> {
    fn begin(users: &'u [User]) -> io::Result<Self> {
        let here = AbsPath::parse("/").map_err(invalid)?;
        let metadata = fs::symlink_metadata(&here)?;
        Ok(Self { users, here, metadata, guarded: true })
    }

    fn follow(mut self, path: &AbsPath) -> io::Result<Self> {
        let mut ahead: VecDeque<String> = components(path.as_str()).collect();
        let mut links = 0;
        while let Some(component) = ahead.pop_front() {
            if let Some(target) = self.step(&component)? {
                links += 1;
                if links > LINKS {
                    return Err(Errno::ELOOP.into());
                }
                if target.starts_with('/') {
                    let users = self.users;
                    self = Self { guarded: self.guarded, ..Self::begin(users)? };
                }
                for component in components(&target).rev() {
                    ahead.push_front(component);
                }
            }
        }
        self.guarded = self.guarded && !self.changeable(&self.metadata)?;
        Ok(self)
    }

    /// Goes one component further, or stays and says where the link that is there leads.
    fn step(&mut self, component: &str) -> io::Result<Option<String>> {
        let next = self.here.resolve(component);
        let metadata = fs::symlink_metadata(&next)?;
        self.guarded = self.guarded && !self.replaceable(&metadata)?;
        if metadata.is_symlink() {
            let target = fs::read_link(&next)?;
            return target
                .into_os_string()
                .into_string()
                .map(Some)
                .map_err(|_| invalid("a link leads to a path that is not UTF-8"));
        }
        self.here = next;
        self.metadata = metadata;
        Ok(None)
    }

    /// Whether a user could put something else in the place of this entry of the directory that was reached.
    fn replaceable(&self, entry: &Metadata) -> io::Result<bool> {
        if !self.changeable(&self.metadata)? {
            return Ok(false);
        }
        // In a sticky directory only the owner of the entry, or of the directory, may take the entry away.
        let sticky = self.metadata.mode() & STICKY != 0;
        let owned = |(uid, _): &User| [entry.uid(), self.metadata.uid()].contains(uid);
        Ok(!sticky || self.users.iter().any(owned))
    }

    /// Whether a user may write here, or could allow it to itself as the owner.
    fn changeable(&self, place: &Metadata) -> io::Result<bool> {
        Ok(self.users.iter().any(|user| may_write(user, place)) || self.has_wider_list(place)?)
    }

    /// With an access control list the group's bits are only its mask: whoever they let in is not known here.
    fn has_wider_list(&self, place: &Metadata) -> io::Result<bool> {
        let group_writes = place.mode() & libc::S_IWGRP != 0;
        Ok(group_writes && has_attribute(self.here.as_path(), "system.posix_acl_access")?)
    }
}

fn may_write((uid, gids): &User, place: &Metadata) -> bool {
    let bit = match () {
        () if place.uid() == *uid => return true,
        () if gids.contains(&place.gid()) => libc::S_IWGRP,
        () => libc::S_IWOTH,
    };
    place.mode() & bit != 0
}

fn components(path: &str) -> std::vec::IntoIter<String> {
    let named = path.split('/').filter(|component| !component.is_empty() && *component != ".");
    named.map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn has_attribute(path: &Path, name: &str) -> io::Result<bool> {
    match rustix::fs::lgetxattr(path, name, &mut [0_u8; 0]) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use tempfile::TempDir;

    use super::*;

    /// Neither owns anything here nor is in a group that does.
    const STRANGER: u32 = 60_999;

    fn path(text: &Path) -> AbsPath {
        AbsPath::parse(text.to_str().unwrap()).unwrap()
    }

    fn users(uid: u32) -> Vec<User> {
        vec![(uid, vec![uid])]
    }

    /// A directory with an executable file `tool` in it.
    fn place() -> TempDir {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("tool"), "").unwrap();
        mode(&place.path().join("tool"), 0o755);
        mode(place.path(), 0o755);
        place
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn guarded(place: &TempDir, name: &str, uid: u32) -> bool {
        facts(&path(&place.path().join(name)), &users(uid)).unwrap().guarded
    }

    #[test]
    fn a_link_is_followed_to_its_end() {
        let place = place();
        symlink("../x/./tool", place.path().join("relative")).unwrap();
        symlink(place.path().join("relative"), place.path().join("absolute")).unwrap();
        symlink(place.path(), place.path().join("x")).unwrap();
        symlink("x/tool", place.path().join("through")).unwrap();
        let tool = facts(&path(&place.path().join("tool")), &[]).unwrap();
        let through = facts(&path(&place.path().join("through")), &[]).unwrap();
        assert_eq!(through.canonical, tool.canonical);
        assert_eq!(through.id, tool.id);
        assert_eq!(through.canonical.as_path(), fs::canonicalize(place.path().join("through")).unwrap());
    }

    #[test]
    fn a_circle_of_links_has_no_end() {
        let place = place();
        symlink("b", place.path().join("a")).unwrap();
        symlink("a", place.path().join("b")).unwrap();
        let error = facts(&path(&place.path().join("a")), &[]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn a_file_that_only_others_can_change_is_guarded() {
        // The directory is in /tmp, which everybody may write; its sticky bit keeps entries of others safe.
        assert!(guarded(&place(), "tool", STRANGER));
    }

    #[test]
    fn the_owner_of_the_file_could_change_it() {
        let place = place();
        assert!(!guarded(&place, "tool", fs::metadata(place.path()).unwrap().uid()));
    }

    #[test]
    fn a_file_that_everybody_may_write_is_not_guarded() {
        let place = place();
        mode(&place.path().join("tool"), 0o757);
        assert!(!guarded(&place, "tool", STRANGER));
    }

    #[test]
    fn a_directory_that_everybody_may_write_does_not_guard() {
        let place = place();
        mode(place.path(), 0o777);
        assert!(!guarded(&place, "tool", STRANGER));
        mode(place.path(), 0o1777);
        assert!(guarded(&place, "tool", STRANGER));
    }

    #[test]
    fn a_link_is_only_as_safe_as_its_own_directory() {
        let open = place();
        let closed = place();
        symlink(closed.path().join("tool"), open.path().join("link")).unwrap();
        mode(open.path(), 0o777);
        assert!(guarded(&closed, "tool", STRANGER));
        assert!(!guarded(&open, "link", STRANGER));
    }

    #[test]
    fn a_group_that_may_write_counts_for_its_members() {
        let place = place();
        let gid = fs::metadata(place.path()).unwrap().gid();
        mode(place.path(), 0o775);
        let tool = path(&place.path().join("tool"));
        assert!(!facts(&tool, &[(STRANGER, vec![gid])]).unwrap().guarded);
        assert!(facts(&tool, &[(STRANGER, vec![STRANGER])]).unwrap().guarded);
    }

    #[test]
    #[ignore = "needs root; run by .ci/run"]
    fn the_owner_of_an_entry_could_replace_it_in_a_sticky_directory() {
        let place = place();
        mode(place.path(), 0o1777);
        symlink("tool", place.path().join("link")).unwrap();
        assert!(guarded(&place, "link", STRANGER));
        std::os::unix::fs::lchown(place.path().join("link"), Some(STRANGER), None).unwrap();
        assert!(!guarded(&place, "link", STRANGER));
        assert!(guarded(&place, "tool", STRANGER));
    }

    #[test]
    #[ignore = "needs root; run by .ci/run"]
    fn the_owner_of_a_directory_could_change_what_is_in_it() {
        let place = place();
        chown(place.path(), Some(STRANGER), None).unwrap();
        mode(place.path(), 0o555);
        assert!(!guarded(&place, "tool", STRANGER));
    }

    #[test]
    fn only_a_regular_file_with_an_execute_bit_is_executable() {
        let place = place();
        let executable = |name: &str| facts(&path(&place.path().join(name)), &[]).unwrap().executable;
        assert!(executable("tool"));
        assert!(!executable("."));
        mode(&place.path().join("tool"), 0o644);
        assert!(!executable("tool"));
    }

    #[test]
    fn a_set_user_id_bit_is_a_privilege() {
        let place = place();
        let privileged = || facts(&path(&place.path().join("tool")), &[]).unwrap().privileged;
        assert!(!privileged());
        mode(&place.path().join("tool"), 0o4755);
        assert!(privileged());
        mode(&place.path().join("tool"), 0o2755);
        assert!(privileged());
    }

    #[test]
    #[ignore = "needs root; run by .ci/run"]
    fn a_file_capability_is_a_privilege() {
        let place = place();
        let tool = place.path().join("tool");
        // struct vfs_cap_data, revision 2, little endian: CAP_NET_BIND_SERVICE permitted.
        let mut data = [0_u8; 20];
        (data[3], data[5]) = (2, 4);
        rustix::fs::setxattr(&tool, "security.capability", &data, rustix::fs::XattrFlags::empty()).unwrap();
        assert!(facts(&path(&tool), &[]).unwrap().privileged);
    }
}

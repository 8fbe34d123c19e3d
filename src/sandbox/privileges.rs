//! From [`Privileged`] to [`Confined`]: the one way out of root, taken once, verified, and never taken back.
//!
//! The order is the kernel's: after `setresuid` nobody may drop the bounding set any more, and what is
//! not verified on every thread is not known. It is not a sandbox for commands: it is what the processes of
//! kernos do to themselves.

use caps::CapSet;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::status::Status;
use super::{Error, Identity};

/// `CAP_SETPCAP` of capabilities(7): who has it may shrink the bounding set.
const SETPCAP: u64 = 1 << 8;

/// This process as it was started. Whoever holds it has not dropped anything yet.
#[derive(Debug)]
#[must_use]
pub struct Privileged(());

/// This process after the drop, with what was then seen of it. Only [`Privileged::confine`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Confined {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    bounding: u64,
    shared: bool,
}

/// What the drop could not give, because the process was not started as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// It keeps the user who started it.
    #[error("kernos was not started as root, so the daemon, the executor and the commands share uid {uid}")]
    SharedUser {
        /// Whose.
        uid: u32,
    },
    /// The bounding set cannot be cleared without `CAP_SETPCAP`.
    #[error(
        "kernos was started without CAP_SETPCAP, so its capability bounding set stays (no_new_privs makes it void)"
    )]
    BoundingSet,
}

impl Privileged {
    /// Of the process that asks, before anything else is done.
    pub fn at_start() -> Self {
        Self(())
    }

    /// Becomes `identity` and gives up every privilege, for good.
    ///
    /// Without an identity the process keeps its user, which must not be root, and gives up what it can.
    pub fn confine(self, identity: Option<&Identity>) -> Result<Confined, Error> {
        let before = Status::of_this_thread()?;
        if before.threads != 1 {
            return Err(Error::Threads { count: before.threads });
        }
        let becomes = whom_to_become(&before, identity)?;
        if becomes.is_some() || before.effective & SETPCAP != 0 {
            clear(CapSet::Bounding, "bounding")?;
        }
        if let Some(identity) = becomes {
            become_user(identity)?;
        }
        clear(CapSet::Ambient, "ambient")?;
        clear(CapSet::Inheritable, "inheritable")?;
        clear(CapSet::Effective, "effective")?;
        clear(CapSet::Permitted, "permitted")?;
        set("no_new_privs", prctl::set_no_new_privs())?;
        set("dumpable", prctl::set_dumpable(false))?;
        let confined = Confined::expected(&before, becomes, identity.is_none())?;
        confined.verify()?;
        confined.cannot_return()?;
        Ok(confined)
    }
}

impl Confined {
    /// Reads the kernel's account of every thread again and fails on the first that has more than it may.
    ///
    /// To be asked again once a runtime has started threads of its own.
    pub fn verify(&self) -> Result<(), Error> {
        for (thread, status) in Status::of_every_thread()? {
            if let Some(fault) = self.fault(&status) {
                return Err(Error::Kept { thread, fault });
            }
        }
        if set("dumpable", prctl::get_dumpable())? {
            return Err(Error::Kept {
                thread: "any".to_owned(),
                fault: "the process is dumpable".to_owned(),
            });
        }
        Ok(())
    }

    /// The user: real, effective, saved and of the file system.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The group: real, effective, saved and of the file system.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Whether the bounding set is empty too; the other four sets always are.
    pub fn bounding_is_empty(&self) -> bool {
        self.bounding == 0
    }

    /// What the drop could not give.
    pub fn gaps(&self) -> Vec<Gap> {
        let shared = self.shared.then_some(Gap::SharedUser { uid: self.uid });
        let bounding = (!self.bounding_is_empty()).then_some(Gap::BoundingSet);
        shared.into_iter().chain(bounding).collect()
    }

    /// What the process has to look like from here on: like whom it became, or as it was started.
    fn expected(before: &Status, becomes: Option<&Identity>, shared: bool) -> Result<Self, Error> {
        let mut groups = becomes.map_or_else(|| before.groups.clone(), |identity| identity.groups.clone());
        groups.sort_unstable();
        groups.dedup();
        Ok(Self {
            uid: becomes.map_or(before.uid[0], |identity| identity.uid),
            gid: becomes.map_or(before.gid[0], |identity| identity.gid),
            groups,
            // Where root was given up an empty set is demanded; elsewhere what is left is a fact to report.
            bounding: if becomes.is_some() { 0 } else { Status::of_this_thread()?.bounding },
            shared,
        })
    }

    fn fault(&self, status: &Status) -> Option<String> {
        let sets = [
            ("CapInh", status.inheritable, 0),
            ("CapPrm", status.permitted, 0),
            ("CapEff", status.effective, 0),
            ("CapAmb", status.ambient, 0),
            ("CapBnd", status.bounding, self.bounding),
        ];
        if status.uid != [self.uid; 4] {
            return Some(format!("Uid is {:?}, not {}", status.uid, self.uid));
        }
        if status.gid != [self.gid; 4] {
            return Some(format!("Gid is {:?}, not {}", status.gid, self.gid));
        }
        if status.groups != self.groups {
            return Some(format!("Groups is {:?}, not {:?}", status.groups, self.groups));
        }
        if let Some((name, set, _)) = sets.into_iter().find(|(_, set, most)| set & !most != 0) {
            return Some(format!("{name} is {set:016x}"));
        }
        (!status.no_new_privs).then(|| "NoNewPrivs is 0".to_owned())
    }

    /// That the kernel refuses the way back is worth more than any account of it.
    fn cannot_return(&self) -> Result<(), Error> {
        let (root, wheel) = (Uid::from_raw(0), Gid::from_raw(0));
        if setresuid(root, root, root).is_ok() {
            return Err(Error::Regained { whom: "root" });
        }
        if self.gid != 0 && setresgid(wheel, wheel, wheel).is_ok() {
            return Err(Error::Regained { whom: "the group of root" });
        }
        Ok(())
    }
}

/// The identity, if there is a change to make; an error if it has to be made and cannot.
fn whom_to_become<'i>(
    before: &Status,
    identity: Option<&'i Identity>,
) -> Result<Option<&'i Identity>, Error> {
    match identity {
        None if before.uid.contains(&0) => Err(Error::Nobody),
        None => Ok(None),
        Some(identity) if identity.uid == 0 => Err(Error::Root { user: identity.uid.to_string() }),
        Some(identity) if before.uid[1] == 0 => Ok(Some(identity)),
        // systemd's `User=` has made the change already; the verification holds it to that.
        Some(identity) if before.uid == [identity.uid; 4] => Ok(None),
        Some(identity) => Err(Error::Unprivileged { uid: before.uid[1], wanted: identity.uid }),
    }
}

fn become_user(identity: &Identity) -> Result<(), Error> {
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    setgroups(&groups).map_err(Error::Groups)?;
    setresgid(gid, gid, gid).map_err(|source| Error::Gid { gid: identity.gid, source })?;
    setresuid(uid, uid, uid).map_err(|source| Error::Uid { uid: identity.uid, source })
}

/// Clears a set that is not empty: under a filter that refuses capset(2) an empty one must not be touched.
fn clear(kind: CapSet, name: &'static str) -> Result<(), Error> {
    let failed = |source| Error::Capabilities { set: name, source };
    if caps::read(None, kind).map_err(failed)?.is_empty() {
        return Ok(());
    }
    caps::clear(None, kind).map_err(failed)
}

fn set<T>(attribute: &'static str, answer: Result<T, Errno>) -> Result<T, Error> {
    answer.map_err(|source| Error::Prctl { attribute, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confined() -> Confined {
        Confined { uid: 7, gid: 8, groups: vec![8, 9], bounding: 0, shared: false }
    }

    fn dropped() -> Status {
        Status {
            threads: 1,
            uid: [7; 4],
            gid: [8; 4],
            groups: vec![8, 9],
            no_new_privs: true,
            ..Status::default()
        }
    }

    fn started_as(uid: u32) -> Status {
        Status { uid: [uid; 4], ..Status::default() }
    }

    #[test]
    fn a_thread_without_privileges_has_no_fault() {
        assert_eq!(confined().fault(&dropped()), None);
    }

    #[test]
    fn every_trace_of_privilege_is_a_fault() {
        let fault = |change: fn(&mut Status)| {
            let mut status = dropped();
            change(&mut status);
            confined().fault(&status).unwrap()
        };
        assert_eq!(fault(|status| status.uid[2] = 0), "Uid is [7, 7, 0, 7], not 7");
        assert_eq!(fault(|status| status.gid[3] = 0), "Gid is [8, 8, 8, 0], not 8");
        assert_eq!(fault(|status| status.groups = vec![0, 8, 9]), "Groups is [0, 8, 9], not [8, 9]");
        assert_eq!(fault(|status| status.inheritable = 1), "CapInh is 0000000000000001");
        assert_eq!(fault(|status| status.permitted = 2), "CapPrm is 0000000000000002");
        assert_eq!(fault(|status| status.effective = 4), "CapEff is 0000000000000004");
        assert_eq!(fault(|status| status.ambient = 8), "CapAmb is 0000000000000008");
        assert_eq!(fault(|status| status.bounding = 16), "CapBnd is 0000000000000010");
        assert_eq!(fault(|status| status.no_new_privs = false), "NoNewPrivs is 0");
    }

    #[test]
    fn what_stays_without_root_is_a_gap_and_no_fault() {
        let confined = Confined { bounding: 0xff, shared: true, ..confined() };
        assert_eq!(confined.fault(&Status { bounding: 0xff, ..dropped() }), None);
        assert_eq!(confined.gaps(), [Gap::SharedUser { uid: 7 }, Gap::BoundingSet]);
    }

    #[test]
    fn whom_to_become_depends_on_who_started_it() {
        let kernos = Identity::anonymous(7);
        assert!(matches!(whom_to_become(&started_as(0), None), Err(Error::Nobody)));
        assert_eq!(whom_to_become(&started_as(0), Some(&kernos)).unwrap(), Some(&kernos));
        assert_eq!(whom_to_become(&started_as(7), Some(&kernos)).unwrap(), None);
        assert_eq!(whom_to_become(&started_as(5), None).unwrap(), None);
        assert!(matches!(
            whom_to_become(&started_as(5), Some(&kernos)),
            Err(Error::Unprivileged { uid: 5, wanted: 7 })
        ));
    }

    #[test]
    fn a_process_with_threads_is_not_confined() {
        let second = || Privileged::at_start().confine(Some(&Identity::anonymous(7)));
        let error = std::thread::scope(|scope| scope.spawn(second).join()).unwrap().unwrap_err();
        assert!(matches!(error, Error::Threads { .. }));
    }
}

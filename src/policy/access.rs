//! Who asks: a presented key becomes a principal, or nothing.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;
use subtle::ConstantTimeEq;

use super::Listen;
use super::grant::Grant;
use crate::vocab::Secret;

/// How long a key must be: shorter ones are found by trying, once somebody has read the digest.
pub const KEY_BYTES_MIN: usize = 16;

/// How callers are told apart. Open access is written in the file, never implied by an empty list.
#[derive(Clone, Debug)]
pub enum Access {
    /// `[anonymous]`: whoever shows no key is this principal. Keys are checked where they are shown.
    Open {
        /// Who shows no key.
        anonymous: Anonymous,
        /// The keys that there are besides.
        keys: Vec<Key>,
    },
    /// Every caller shows a key.
    Keyed(Vec<Key>),
}

/// `[anonymous]`
#[derive(Clone, Debug)]
pub struct Anonymous {
    pub(super) principal: Principal,
    pub(super) remote: bool,
}

/// `[key.NAME]`: digests only, never the key itself.
#[derive(Clone, Debug)]
pub struct Key {
    pub(super) principal: Principal,
    pub(super) digests: Vec<Digest>,
    pub(super) expires: Option<SystemTime>,
    pub(super) from: Vec<IpNet>,
}

/// The SHA-256 of a key, and until when it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) sha256: [u8; 32],
    pub(super) until: Option<SystemTime>,
}

/// Who asks: a name and what it may do, never the secret. Made by [`Access::identify`] alone.
#[derive(Clone, Debug)]
pub struct Principal {
    pub(super) name: Arc<str>,
    pub(super) grant: Arc<Grant>,
    /// The digest that the shown key had; none for who showed none.
    pub(super) shown: Option<[u8; 32]>,
}

/// Why somebody who was let in earlier would not be let in as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// The key, or open access, is not in the policy any more.
    Removed,
    /// Its time has come.
    Expired,
    /// The key may not be used from there any more.
    Elsewhere,
    /// It may do less than it could.
    Narrowed,
}

/// A look at many who were let in, at one moment.
#[derive(Debug)]
pub struct Review<'a> {
    access: &'a Access,
    now: SystemTime,
    /// Grants of now and of before, and whether the one covers the other: to compare them takes far longer than to
    /// find them here, where there are as many as profiles.
    compared: RefCell<Vec<Comparison>>,
}

#[derive(Debug)]
struct Comparison {
    now: Arc<Grant>,
    before: Arc<Grant>,
    covers: bool,
}

/// Why a caller is nobody. The caller itself is told the same text whatever the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No key was shown.
    #[error("no key was shown")]
    NoKey,
    /// The key is none of the policy's.
    #[error("the key is not known")]
    Unknown,
    /// The key is too old.
    #[error("the key of `{0}` has expired")]
    Expired(String),
    /// The key may not be used from there.
    #[error("the key of `{0}` may not be used from this address")]
    Elsewhere(String),
    /// Open access is for this host only.
    #[error("open access is for callers on this host")]
    Remote,
    /// Open access is not for requests that a proxy passes on.
    #[error("open access is not for forwarded requests")]
    Forwarded,
}

impl Lapse {
    /// As a label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Expired => "expired",
            Self::Elsewhere => "elsewhere",
            Self::Narrowed => "narrowed",
        }
    }
}

impl Key {
    /// The NAME of `[key.NAME]`.
    pub fn name(&self) -> &str {
        self.principal.name()
    }

    /// Whether it lets in nobody any more.
    pub fn has_ended(&self, now: SystemTime) -> bool {
        self.digests.iter().all(|digest| self.has_expired(digest, now))
    }

    fn has_expired(&self, digest: &Digest, now: SystemTime) -> bool {
        [self.expires, digest.until].into_iter().flatten().any(|end| end <= now)
    }

    fn is_for(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.from.is_empty() || self.from.iter().any(|network| network.contains(&from))
    }
}

impl Principal {
    /// The NAME of `[key.NAME]`, or `anonymous`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it may do.
    pub fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }
}

impl Access {
    /// The keys, whether or not others may come without.
    pub fn keys(&self) -> &[Key] {
        match self {
            Self::Open { keys, .. } | Self::Keyed(keys) => keys,
        }
    }

    /// Whether callers without a key may come to this address.
    pub fn is_open_at(&self, address: Listen) -> bool {
        matches!(self, Self::Open { anonymous, .. } if anonymous.remote || address.is_local())
    }

    /// Whether callers without a key may come at all.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Every principal that there is.
    pub fn principals(&self) -> impl Iterator<Item = &Principal> {
        let anonymous = match self {
            Self::Open { anonymous, .. } => Some(&anonymous.principal),
            Self::Keyed(_) => None,
        };
        self.keys().iter().map(|key| &key.principal).chain(anonymous)
    }

    /// The principal of this name, for `explain` and for messages.
    pub fn principal(&self, name: &str) -> Option<&Principal> {
        self.principals().find(|one| one.name() == name)
    }

    /// Who shows this key, from this address.
    ///
    /// A key is hashed once and compared with every digest in constant time, so that neither a wrong
    /// key's likeness to a right one nor the number of keys before it can be measured.
    pub fn identify(
        &self,
        presented: Option<&Secret>,
        from: IpAddr,
        forwarded: bool,
        now: SystemTime,
    ) -> Result<Principal, Refused> {
        let Some(presented) = presented else {
            return match self {
                Self::Keyed(_) => Err(Refused::NoKey),
                Self::Open { .. } if forwarded => Err(Refused::Forwarded),
                Self::Open { anonymous, .. } if !anonymous.remote && !is_local(from) => Err(Refused::Remote),
                Self::Open { anonymous, .. } => Ok(anonymous.principal.clone()),
            };
        };
        let shown = presented.sha256();
        let mut found: Option<(&Key, &Digest)> = None;
        for key in self.keys() {
            for digest in &key.digests {
                if bool::from(digest.sha256.ct_eq(&shown)) {
                    found = Some((key, digest));
                }
            }
        }
        let (key, digest) = found.ok_or(Refused::Unknown)?;
        let name = || key.principal.name().to_owned();
        if key.has_expired(digest, now) {
            return Err(Refused::Expired(name()));
        }
        if !key.is_for(from) {
            return Err(Refused::Elsewhere(name()));
        }
        Ok(Principal { shown: Some(shown), ..key.principal.clone() })
    }

    /// Whether somebody whom [`Access::identify`] let in, perhaps under an earlier policy, still may what it could.
    pub fn reaffirm(&self, principal: &Principal, from: IpAddr, now: SystemTime) -> Result<(), Lapse> {
        self.review(now).reaffirm(principal, from)
    }

    /// The same for many at once, of whom many have the same grant.
    pub fn review(&self, now: SystemTime) -> Review<'_> {
        Review { access: self, now, compared: RefCell::default() }
    }
}

impl Review<'_> {
    /// As [`Access::reaffirm`].
    pub fn reaffirm(&self, principal: &Principal, from: IpAddr) -> Result<(), Lapse> {
        let Some(shown) = principal.shown else {
            return match self.access {
                Access::Keyed(_) => Err(Lapse::Removed),
                Access::Open { anonymous, .. } if !anonymous.remote && !is_local(from) => {
                    Err(Lapse::Elsewhere)
                }
                Access::Open { anonymous, .. } => self.as_much(&anonymous.principal, principal),
            };
        };
        let key =
            self.access.keys().iter().find(|key| key.name() == principal.name()).ok_or(Lapse::Removed)?;
        let digest = key.digests.iter().find(|digest| digest.sha256 == shown).ok_or(Lapse::Removed)?;
        if key.has_expired(digest, self.now) {
            return Err(Lapse::Expired);
        }
        if !key.is_for(from) {
            return Err(Lapse::Elsewhere);
        }
        self.as_much(&key.principal, principal)
    }

    fn as_much(&self, own: &Principal, earlier: &Principal) -> Result<(), Lapse> {
        let (grant, was) = (&own.grant, &earlier.grant);
        if Arc::ptr_eq(grant, was) {
            return Ok(());
        }
        let mut compared = self.compared.borrow_mut();
        let mut known = compared.iter();
        let known = known.find(|one| Arc::ptr_eq(&one.now, grant) && Arc::ptr_eq(&one.before, was));
        let covers = known.map_or_else(|| grant.covers(was), |one| one.covers);
        if known.is_none() {
            compared.push(Comparison { now: Arc::clone(grant), before: Arc::clone(was), covers });
        }
        if covers { Ok(()) } else { Err(Lapse::Narrowed) }
    }
}

fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::{FRAME, policy};

    #[test]
    fn two_grants_are_compared_once_in_a_review() {
        let access = || policy(&format!("{FRAME}[profile.dev]\n")).access().clone();
        let (now, before) = (access(), access());
        let review = now.review(SystemTime::UNIX_EPOCH);
        let here = IpAddr::from([127, 0, 0, 1]);
        let earlier = Principal {
            shown: Some(before.keys()[0].digests[0].sha256),
            ..before.keys()[0].principal.clone()
        };
        for _ in 0..3 {
            assert_eq!(review.reaffirm(&earlier, here), Ok(()));
        }
        assert_eq!(review.compared.borrow().len(), 1);
    }
}

//! What a listener proves itself with, as the policy names it. Whether it can be served is for the host to try.

use crate::vocab::{AbsPath, Secret};

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate, and behind it those that signed it.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
}

/// A file in PEM (RFC 7468).
#[derive(Clone, Debug)]
pub struct Pem {
    /// Where it is.
    pub path: AbsPath,
    /// What is in it.
    pub text: Secret,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPart {
    /// The certificate.
    Certificate,
    /// The key.
    Key,
}

/// What was found about one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// About which.
    pub part: TlsPart,
    /// One sentence without a full stop.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

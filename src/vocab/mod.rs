//! Words that two floors need: a path, a secret, an error with its causes.
//!
//! Not a place for helpers: what only one floor uses lives on that floor.

mod abs_path;
mod chain;
mod escaped;
mod hex;
mod printable;
mod secret;

pub use abs_path::{AbsPath, AbsPathError};
pub use chain::Chain;
pub use escaped::{escaped, is_unruly};
pub use hex::hex;
pub use printable::printable;
pub use secret::Secret;

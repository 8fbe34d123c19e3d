//! What the kernel holds for kernos: who the process is, what it may still do, and which file a program is.
//!
//! Not a judge: what may be run is for `policy` to say. Nothing here reads the environment or needs a runtime,
//! because all of it runs before there is one.

mod error;
pub mod files;
pub mod identity;
pub mod privileges;
pub mod process;
pub mod program;
pub mod script;
mod status;

pub use error::Error;
pub use files::{User, facts};
pub use identity::Identity;
pub use privileges::{Confined, Gap, Privileged};

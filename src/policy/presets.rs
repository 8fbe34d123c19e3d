//! The built-in definitions of common commands, in the language of the policy file itself.

use super::diagnostic::Source;

/// The text that `kernos policy presets` prints.
pub const PRESETS: &str = include_str!("presets.toml");

/// The policy that `kernos` runs with where none is named, printed by `kernos policy default`.
pub const DEFAULT: &str = include_str!("default.toml");

pub(super) fn source() -> Source {
    Source { name: "presets".to_owned(), text: PRESETS.to_owned() }
}

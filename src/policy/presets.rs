//! The built-in definitions of common commands, in the language of the policy file itself.

use std::collections::BTreeSet;

use super::diagnostic::Source;

/// The text that `kernos policy presets` prints.
pub const PRESETS: &str = include_str!("presets.toml");

/// The policy that `kernos` runs with where none is named, printed by `kernos policy default`.
pub const DEFAULT: &str = include_str!("default.toml");

/// The names of all of them.
pub(super) fn names() -> BTreeSet<String> {
    let table: toml::Table = PRESETS.parse().expect("its tests compile it");
    table
        .get("command")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flat_map(toml::Table::keys)
        .cloned()
        .collect()
}

pub(super) fn source() -> Source {
    Source { name: "presets".to_owned(), text: PRESETS.to_owned() }
}

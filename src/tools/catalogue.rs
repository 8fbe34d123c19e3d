//! The one list of tools, and the names that a policy may mention besides.

use std::sync::LazyLock;

use super::{Entry, ShellExecute};
use crate::policy::KnownTool;

static CATALOGUE: LazyLock<Vec<Entry>> = LazyLock::new(|| vec![Entry::of::<ShellExecute>()]);

/// Every tool of this version, in the order in which clients see them.
pub fn catalogue() -> &'static [Entry] {
    &CATALOGUE
}

/// The tool of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    catalogue().iter().find(|entry| entry.name == name)
}

/// The Kasm tools and the class of each: a policy may name them before this version can serve them.
const KASM: [(&str, &str); 21] = [
    ("create_kasm_session", "kasm:sessions"),
    ("destroy_kasm_session", "kasm:sessions"),
    ("pause_kasm_session", "kasm:sessions"),
    ("resume_kasm_session", "kasm:sessions"),
    ("get_session_status", "kasm:read"),
    ("list_user_sessions", "kasm:read"),
    ("list_all_sessions", "kasm:read"),
    ("get_session_screenshot", "kasm:read"),
    ("get_session_frame_stats", "kasm:read"),
    ("get_session_bottleneck_stats", "kasm:read"),
    ("get_session_recordings", "kasm:read"),
    ("get_available_workspaces", "kasm:read"),
    ("execute_kasm_command", "kasm:commands"),
    ("read_kasm_file", "kasm:commands"),
    ("write_kasm_file", "kasm:commands"),
    ("get_kasm_users", "kasm:users"),
    ("get_kasm_user", "kasm:users"),
    ("create_kasm_user", "kasm:users"),
    ("update_kasm_user", "kasm:users"),
    ("delete_kasm_user", "kasm:users"),
    ("logout_kasm_user", "kasm:users"),
];

/// Every tool that a policy may name, so that a misspelt one is a mistake.
pub fn known() -> Vec<KnownTool> {
    let served = catalogue().iter().map(|entry| KnownTool { name: entry.name, class: None, served: true });
    let kasm = KASM.map(|(name, class)| KnownTool { name, class: Some(class), served: false });
    served.chain(kasm).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_fit_for_every_client() {
        let names: BTreeSet<&str> = known().iter().map(|tool| tool.name).collect();
        assert_eq!(names.len(), known().len());
        for entry in catalogue() {
            assert!(entry.name.len() <= 64, "{} is too long for some clients", entry.name);
            assert!(
                entry.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn every_tool_describes_itself_and_each_parameter() {
        for entry in catalogue() {
            assert!(!entry.title.is_empty() && !entry.description.is_empty(), "{}", entry.name);
            for schema in [&entry.input, &entry.output] {
                assert_eq!(schema["type"], "object", "{}", entry.name);
                let properties = schema["properties"].as_object().unwrap();
                for (name, property) in properties {
                    assert!(property["description"].is_string(), "{}: {name} has no description", entry.name);
                    assert!(property["type"].is_string(), "{}: {name} has several types", entry.name);
                }
            }
            assert_eq!(entry.input["additionalProperties"], false, "{}", entry.name);
        }
    }

    #[test]
    fn what_an_agent_reads_of_each_tool_changes_only_on_purpose() {
        for entry in catalogue() {
            let shown = serde_json::json!({
                "title": entry.title,
                "description": entry.description,
                "input": *entry.input,
                "output": *entry.output,
            });
            insta::assert_json_snapshot!(entry.name, shown);
        }
    }
}

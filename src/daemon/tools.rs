//! `kernos tools`: what an agent can be given, from the one list of tools.

use serde_json::json;

use super::cli::Tools;
use crate::tools::{Effect, Entry, catalogue};

/// The list in the form that was asked for.
pub fn list(arguments: &Tools) -> String {
    if arguments.json {
        let tools: Vec<_> = catalogue().iter().map(described).collect();
        return format!("{:#}\n", serde_json::Value::from(tools));
    }
    if arguments.markdown {
        let rows = catalogue().iter().map(|tool| {
            format!("| `{}` | {} | {} |\n", tool.name, effect(tool.effect), summary(&tool.description))
        });
        return format!("| tool | effect | what it does |\n|---|---|---|\n{}", rows.collect::<String>());
    }
    let lines = catalogue()
        .iter()
        .map(|tool| format!("{}  ({})\n  {}\n", tool.name, effect(tool.effect), summary(&tool.description)));
    lines.collect()
}

fn described(tool: &Entry) -> serde_json::Value {
    json!({
        "name": tool.name,
        "title": tool.title,
        "effect": effect(tool.effect),
        "description": tool.description,
        "inputSchema": &*tool.input,
        "outputSchema": &*tool.output,
    })
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Destroy => "destroy",
    }
}

/// The first paragraph of a description is one sentence on what the tool does.
fn summary(text: &str) -> &str {
    text.split("\n\n").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_holds_the_table() {
        let readme = include_str!("../../README.md");
        let table = readme.split("<!-- tools:begin -->\n").nth(1).unwrap();
        let table = table.split("<!-- tools:end -->").next().unwrap();
        assert_eq!(table, list(&Tools { json: false, markdown: true }));
    }

    #[test]
    fn every_tool_has_a_row_and_an_object() {
        let markdown = list(&Tools { json: false, markdown: true });
        assert_eq!(markdown.lines().count(), 2 + catalogue().len());
        let json: Vec<serde_json::Value> =
            serde_json::from_str(&list(&Tools { json: true, markdown: false })).unwrap();
        assert_eq!(json.len(), catalogue().len());
        assert_eq!(json[0]["name"], "shell_execute");
    }
}

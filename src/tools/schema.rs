//! JSON schemas of arguments and answers, as a client reads them.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The schema of what a tool takes, and the doc comment of its type.
pub(super) fn input<T: JsonSchema>() -> (Map<String, Value>, String) {
    split(settings().into_generator().into_root_schema_for::<T>())
}

/// The schema of what a tool answers.
pub(super) fn output<T: JsonSchema>() -> Map<String, Value> {
    split(settings().for_serialize().into_generator().into_root_schema_for::<T>()).0
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    })
}

/// Takes the Rust-only parts away: the type's name, its doc comment's line breaks, and formats such as
/// `uint32`, of which JSON Schema knows nothing and validators warn.
fn split(schema: schemars::Schema) -> (Map<String, Value>, String) {
    let mut schema = schema.to_value();
    tidy(&mut schema);
    let Value::Object(mut schema) = schema else {
        return (Map::new(), String::new());
    };
    schema.remove("title");
    let description = match schema.remove("description") {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    (schema, description)
}

fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("format").and_then(Value::as_str).is_some_and(is_rust_only) {
                members.remove("format");
            }
            // How serde says that a parameter may be left out; as a value it would not be one.
            members.retain(|name, value| name != "default" || !value.is_null());
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = unwrapped(text);
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn is_rust_only(format: &str) -> bool {
    ["uint", "int", "float", "double"].iter().any(|prefix| format.starts_with(prefix))
}

/// Doc comments are broken into lines for the source: a client gets one line a paragraph.
fn unwrapped(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it
    /// does.
    ///
    /// More.
    #[derive(serde::Serialize, JsonSchema)]
    struct Sample {
        /// How
        /// many.
        count: u32,
    }

    #[test]
    fn a_schema_has_no_trace_of_rust() {
        let (schema, description) = input::<Sample>();
        assert_eq!(description, "What it does.\n\nMore.");
        assert_eq!(
            Value::Object(schema),
            serde_json::json!({
                "type": "object",
                "properties": {"count": {"description": "How many.", "type": "integer", "minimum": 0}},
                "required": ["count"],
            })
        );
    }
}

//! A call's arguments, held against the schema that the tool publishes.
//!
//! serde alone would stop at the first mistake and could not say which parameter it is about; it also
//! knows nothing of `minimum`. The schema is the contract that the agent has read, so it is what is enforced.

use serde_json::{Map, Value};

/// Names that are at least this alike (Jaro-Winkler) are taken for a slip of the pen.
const ALIKE: f64 = 0.8;

/// Mistakes that are told, one sentence each: an agent mends these first.
const TOLD: usize = 16;

/// Characters of an unknown name that are looked at.
const NAME_MAX: usize = 64;

/// Mistakes, of which the first are put into words.
#[derive(Default)]
struct Mistakes {
    told: Vec<String>,
    more: usize,
}

impl Mistakes {
    fn push(&mut self, mistake: impl FnOnce() -> String) {
        if self.told.len() < TOLD {
            self.told.push(mistake());
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.told.push(format!("and {} more mistakes", self.more));
        }
        self.told
    }
}

/// The arguments in the form that serde reads, or the mistakes in them, one sentence each.
///
/// A null for a parameter that may be left out counts as left out, and `30.0` as `30`: both are how some
/// clients write what they mean.
pub(super) fn check(
    schema: &Map<String, Value>,
    arguments: Map<String, Value>,
) -> Result<Value, Vec<String>> {
    let no_properties = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&no_properties);
    let is_required = |name: &str| {
        let required = schema.get("required").and_then(Value::as_array);
        required.is_some_and(|names| names.iter().any(|one| one == name))
    };

    let mut mistakes = Mistakes::default();
    let mut checked = Map::new();
    for (name, mut value) in arguments {
        match properties.get(&name) {
            None => mistakes.push(|| unknown(&name, properties)),
            Some(_) if value.is_null() && !is_required(&name) => {}
            Some(property) => {
                checks(&name, property, &mut value, &mut mistakes);
                checked.insert(name, value);
            }
        }
    }
    for name in properties.keys().filter(|name| is_required(name) && !checked.contains_key(*name)) {
        mistakes.push(|| format!("`{name}` is missing{}", meaning(&properties[name])));
    }
    let mistakes = mistakes.finish();
    if mistakes.is_empty() { Ok(Value::Object(checked)) } else { Err(mistakes) }
}

fn unknown(name: &str, properties: &Map<String, Value>) -> String {
    let shown: String = name.chars().take(NAME_MAX).collect();
    let nearest = properties
        .keys()
        .map(|known| (strsim::jaro_winkler(known, &shown), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    if let Some((_, known)) = nearest {
        return format!("`{shown}` is not a parameter: did you mean `{known}`?");
    }
    let known: Vec<String> = properties.keys().map(|known| format!("`{known}`")).collect();
    format!("`{shown}` is not a parameter: there are {}", known.join(", "))
}

fn checks(path: &str, schema: &Value, value: &mut Value, mistakes: &mut Mistakes) {
    let wrong = |what: &str, value: &Value| {
        format!("`{path}` must be {what}, but is {}{}", shown(value), meaning(schema))
    };
    match (schema.get("type").and_then(Value::as_str), &mut *value) {
        (Some("string"), Value::String(_)) | (Some("boolean"), Value::Bool(_)) | (None, _) => {}
        (Some("integer"), Value::Number(number)) => {
            if let Some(whole) = whole(number) {
                *number = whole;
            }
            if let Some(what) = outside(schema, number) {
                mistakes.push(|| wrong(&what, value));
            }
        }
        (Some("array"), Value::Array(items)) => {
            if items.is_empty() && schema.get("minItems").is_some() {
                mistakes.push(|| format!("`{path}` is empty{}", meaning(schema)));
            }
            if let Some(each) = schema.get("items") {
                for (at, item) in items.iter_mut().enumerate() {
                    checks(&format!("{path}[{at}]"), each, item, mistakes);
                }
            }
        }
        (Some(kind), value) => mistakes.push(|| wrong(kind_in_words(kind), value)),
    }
}

/// `30.0` as `30`, where no digit is lost.
fn whole(number: &serde_json::Number) -> Option<serde_json::Number> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    let in_range = float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, as just checked")]
    in_range.then(|| (float as i64).into())
}

/// What an integer must be, where this one is not.
fn outside(schema: &Value, number: &serde_json::Number) -> Option<String> {
    let least = schema.get("minimum").and_then(Value::as_i64).unwrap_or(i64::MIN);
    match number.as_i64() {
        Some(value) if value >= least => None,
        None if number.as_u64().is_some() => Some("a smaller number".to_owned()),
        Some(_) => Some(format!("at least {least}")),
        None => Some("a whole number".to_owned()),
    }
}

fn kind_in_words(kind: &str) -> &'static str {
    match kind {
        "string" => "a string",
        "integer" => "a whole number",
        "boolean" => "true or false",
        "array" => "an array",
        _ => "an object",
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The first sentence of a parameter's description: what would be right.
fn meaning(schema: &Value) -> String {
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let sentence = description.split_once(". ").map_or(description, |(first, _)| first);
    let sentence = sentence.lines().next().unwrap_or_default().trim_end_matches('.');
    if sentence.is_empty() { String::new() } else { format!(" ({sentence})") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(arguments: Value) -> Result<Value, Vec<String>> {
        let schema = json!({
            "properties": {
                "command": {
                    "description": "The words. More.", "type": "array", "minItems": 1, "items": {"type": "string"}
                },
                "timeout": {"type": "integer", "minimum": 1},
                "stdin": {"type": "string"},
            },
            "required": ["command"],
        });
        let (Value::Object(schema), Value::Object(arguments)) = (schema, arguments) else { unreachable!() };
        check(&schema, arguments)
    }

    fn mistakes(arguments: Value) -> Vec<String> {
        checked(arguments).unwrap_err()
    }

    #[test]
    fn of_many_mistakes_the_first_are_told_and_the_rest_counted() {
        let mistakes = checked(json!({ "command": vec![0; 20], "x".repeat(1 << 20): 0 })).unwrap_err();
        assert_eq!((mistakes.len(), &*mistakes[TOLD]), (TOLD + 1, "and 5 more mistakes"));
        assert!(mistakes.iter().all(|mistake| mistake.len() < 200));
    }

    #[test]
    fn sound_arguments_pass() {
        let sound = json!({"command": ["ls", ""], "timeout": 1});
        assert_eq!(checked(sound.clone()), Ok(sound));
    }

    #[test]
    fn a_null_counts_as_left_out_and_a_whole_float_as_an_integer() {
        assert_eq!(
            checked(json!({"command": ["ls"], "stdin": null, "timeout": 30.0})),
            Ok(json!({"command": ["ls"], "timeout": 30}))
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        assert_eq!(
            mistakes(json!({"command": ["ls", 3, null], "timeout": 0, "stdin": []})),
            [
                "`command[1]` must be a string, but is 3",
                "`command[2]` must be a string, but is null",
                "`stdin` must be a string, but is an array",
                "`timeout` must be at least 1, but is 0",
            ]
        );
    }

    #[test]
    fn a_missing_null_or_empty_command_says_what_it_means() {
        assert_eq!(mistakes(json!({})), ["`command` is missing (The words)"]);
        assert_eq!(mistakes(json!({"command": []})), ["`command` is empty (The words)"]);
        assert_eq!(
            mistakes(json!({"command": null})),
            ["`command` must be an array, but is null (The words)"]
        );
        assert_eq!(
            mistakes(json!({"command": "ls -l"})),
            ["`command` must be an array, but is a string (The words)"]
        );
    }

    #[test]
    fn numbers_that_are_not_seconds_are_refused() {
        let wrong = |timeout: Value| mistakes(json!({"command": ["ls"], "timeout": timeout}));
        assert_eq!(wrong(json!(1.5)), ["`timeout` must be a whole number, but is 1.5"]);
        assert_eq!(wrong(json!(-3)), ["`timeout` must be at least 1, but is -3"]);
        assert_eq!(wrong(json!("5")), ["`timeout` must be a whole number, but is a string"]);
        assert_eq!(
            wrong(json!(u64::MAX)),
            ["`timeout` must be a smaller number, but is 18446744073709551615"]
        );
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_nearest_known_one() {
        assert_eq!(
            mistakes(json!({"command": ["ls"], "time_out": 3})),
            ["`time_out` is not a parameter: did you mean `timeout`?"]
        );
        assert_eq!(
            mistakes(json!({"command": ["ls"], "shell": true})),
            ["`shell` is not a parameter: there are `command`, `stdin`, `timeout`"]
        );
    }
}

//! Calls as a table for a terminal, or as JSON: what an agent wrote moves no cursor there.

use crate::http::{CallNow, CallState};
use crate::vocab::escaped;

/// Columns of a command that are shown: a terminal's line has room for them, and `--json` shows the rest.
const COMMAND: usize = 100;

const HEADS: [&str; 8] = ["CALL", "KEY", "STATE", "AGE", "CPU", "MEMORY", "PROCESSES", "COMMAND"];

/// An array, for programs and, indented, for people.
pub(super) fn json(calls: &[CallNow]) -> String {
    // The breaks between its lines are the only ones: within a text JSON has none.
    let json = format!("{:#}", serde_json::json!(calls));
    json.lines().map(|line| escaped(line) + "\n").collect()
}

/// One line a call.
pub(super) fn table(calls: &[CallNow]) -> String {
    let rows: Vec<[String; 8]> = calls.iter().map(row).collect();
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.chain([HEADS[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..HEADS.len() - 1).map(width).collect();
    let line = |cells: [&str; 8]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        format!("{}{}\n", padded.collect::<String>(), cells[7])
    };
    let rows = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(HEADS)).chain(rows).collect()
}

fn row(call: &CallNow) -> [String; 8] {
    let unknown = || "-".to_owned();
    let command = call.command.as_ref().map_or_else(unknown, |words| command(words));
    [
        call.call.to_string(),
        call.key.clone(),
        state(call.state).to_owned(),
        format!("{:.1}s", call.age),
        call.cpu.map_or_else(unknown, |cpu| format!("{cpu:.1}s")),
        call.memory.map_or_else(unknown, |bytes| format!("{} MiB", bytes.div_ceil(1 << 20))),
        call.processes.map_or_else(unknown, |processes| processes.to_string()),
        command,
    ]
}

fn state(state: CallState) -> &'static str {
    match state {
        CallState::Waiting => "waiting",
        CallState::Running => "running",
    }
}

/// The words as a shell's user would write them, as far as they fit.
fn command(words: &[String]) -> String {
    let written = words.iter().map(|word| {
        let plain = !word.is_empty() && !word.contains([' ', '\'', '"', '\\']);
        if plain { word.escape_debug().to_string() } else { format!("\"{}\"", word.escape_debug()) }
    });
    let whole = written.collect::<Vec<_>>().join(" ");
    let cut: String = whole.chars().take(COMMAND).collect();
    if cut.len() < whole.len() { cut + "…" } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> CallNow {
        CallNow {
            call: 7,
            key: "alice".to_owned(),
            state: CallState::Running,
            tool: "shell_execute".to_owned(),
            command: None,
            age: 3.25,
            cpu: Some(0.04),
            memory: Some(3 << 20),
            processes: Some(2),
            from: [127, 0, 0, 1].into(),
            request_id: "ab12".to_owned(),
        }
    }

    const TURNING: &str =
        "\u{7f}\u{85}\u{9b}2J\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\"\\é\n";

    #[test]
    fn in_json_and_in_the_table_no_character_turns_the_text_and_none_is_lost() {
        let call = CallNow { command: Some(vec![TURNING.to_owned()]), ..call() };
        let raw = |text: &str| text.contains(|c: char| c != '\n' && !matches!(c, ' '..='~' | 'é'));
        let json = json(std::slice::from_ref(&call));
        assert!(!raw(&json), "{json:?}");
        assert_eq!(serde_json::from_str::<Vec<CallNow>>(&json).unwrap(), std::slice::from_ref(&call));
        let table = table(&[call]);
        assert!(!raw(&table) && table.lines().count() == 2, "{table:?}");
    }

    #[test]
    fn a_call_is_a_line_in_which_nothing_moves_the_cursor() {
        let words = ["printf", "a b", "", "\u{1b}[2J\n\u{202e}x"].map(str::to_owned);
        let call = CallNow { command: Some(words.to_vec()), ..call() };
        let waiting = CallNow {
            call: 12,
            state: CallState::Waiting,
            command: None,
            cpu: None,
            memory: None,
            processes: None,
            ..call.clone()
        };
        let printed = [
            "CALL  KEY    STATE    AGE   CPU   MEMORY  PROCESSES  COMMAND",
            r#"7     alice  running  3.2s  0.0s  3 MiB   2          printf "a b" "" \u{1b}[2J\n\u{202e}x"#,
            "12    alice  waiting  3.2s  -     -       -          -\n",
        ];
        assert_eq!(table(&[call, waiting]), printed.join("\n"));
        assert_eq!(command(&["x".repeat(200)]), "x".repeat(100) + "…");
    }
}

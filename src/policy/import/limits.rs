//! `[limits]`: the three that mcp-shell-server had, with its own defaults.

use super::draft::Draft;
use super::settings::Settings;

/// `DEFAULT_TIMEOUT_SECONDS`, `DEFAULT_MAX_TIMEOUT_SECONDS` and `DEFAULT_OUTPUT_LIMIT_BYTES` of mcp-shell-server 1.1.14.
const TIMEOUT: u64 = 30;
const TIMEOUT_MAX: u64 = 300;
const OUTPUT: u64 = 1 << 20;

/// A year. No call is meant to last longer, and a time in milliseconds stays far from its end.
const SECONDS_MAX: u64 = 366 * 24 * 60 * 60;
/// What is kept of a call is kept in memory.
const BYTES_MAX: u64 = 1 << 30;

pub(super) fn write(settings: &Settings, draft: &mut Draft) {
    draft.gap();
    draft.line("[limits]");
    let longest = number(settings, "MCP_SHELL_MAX_TIMEOUT_SECONDS", TIMEOUT_MAX, SECONDS_MAX, draft);
    draft.comment(
        "A call that asks for more is refused, with this figure; the predecessor gave it less in silence.",
    );
    draft.line(format!("timeout_max = \"{longest}s\""));
    let timeout = number(settings, "MCP_SHELL_DEFAULT_TIMEOUT_SECONDS", TIMEOUT, SECONDS_MAX, draft);
    // As the predecessor did.
    draft.line(format!("timeout = \"{}s\"", timeout.min(longest)));
    let output = number(settings, "MCP_SHELL_OUTPUT_LIMIT_BYTES", OUTPUT, BYTES_MAX, draft);
    draft.comment(
        "Kept of each stream, its head and its tail. The predecessor ended the call there, and threw away what it \
         had.",
    );
    draft.line(format!("output = {output}"));
    draft.comment("The predecessor took any input, and any number of calls at once.");
    draft.line("stdin = \"8MiB\"");
    draft.line("concurrent = 8");
}

/// A whole number from 1 as Python reads it; for anything else the predecessor took its default.
fn number(settings: &Settings, name: &str, default: u64, most: u64, draft: &mut Draft) -> u64 {
    let Some(setting) = settings.find(name) else { return default };
    let text = setting.value.trim();
    let digits: Vec<&str> = text.strip_prefix('+').unwrap_or(text).split('_').collect();
    if !digits.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())) {
        let text = format!("{name} is no whole number from 1: the predecessor took {default}, as this does.");
        draft.tell(setting, text);
        return default;
    }
    match digits.concat().parse() {
        Ok(0) => {
            draft.tell(setting, format!("{name} is 0: the predecessor took {default}, as this does."));
            default
        }
        Ok(number) if number <= most => number,
        _ => {
            draft.tell(setting, format!("{name} is more than this, the most that an import takes."));
            most
        }
    }
}

//! What a key may do, in words: for the agent that holds it, so that it need not find out by denials.

use std::fmt::Write;

use super::grant::Grant;
use super::rule::{Arguments, Flag, Kind, Launches, Rule, Shape};

/// Rules whose arguments are spelt out at most: a tool's description is read with every request of a model.
const SPELT_OUT_MAX: usize = 24;

impl Grant {
    /// Commands, roots and limits, as a part of a tool's description.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut names: Vec<&str> = Vec::new();
        for rule in self.rules().filter(|rule| rule.program.is_ok()) {
            if !names.contains(&rule.name.as_str()) {
                names.push(&rule.name);
            }
        }
        let _ = writeln!(text, "Commands: {}.", or_none(&names.join(" ")));
        let bounded: Vec<String> = self.rules().filter_map(usage).collect();
        if !bounded.is_empty() {
            let shown = bounded.len().min(SPELT_OUT_MAX);
            let _ = writeln!(
                text,
                "Only with these arguments: {}{}",
                bounded[..shown].join("; "),
                if shown < bounded.len() { "; …" } else { "." }
            );
        }
        let roots: Vec<String> =
            self.roots().iter().map(|root| format!("{} ({})", root.written, root.mode.symbol())).collect();
        let _ = writeln!(text, "Directories: {}.", or_none(&roots.join(", ")));
        if let Some(root) = self.default_directory() {
            let _ = writeln!(text, "Without `directory` a command runs in {}.", root.written);
        }
        let limits = self.limits();
        let _ = write!(
            text,
            "A call ends after {} s unless it asks for up to {} s. Of each output stream {} bytes are kept.",
            limits.timeout.as_secs_f64(),
            self.timeout_max().as_secs_f64(),
            limits.output
        );
        text
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// The arguments that a rule allows; `None` if it leaves them free.
fn usage(rule: &Rule) -> Option<String> {
    match &rule.arguments {
        Arguments::Plain(Shape { flags: None, operands: None }) => None,
        Arguments::Plain(shape) => {
            let inner = match rule.launches {
                Some(Launches::After(operands)) => " ARG".repeat(operands) + " COMMAND…",
                Some(Launches::AfterAssignments) => " NAME=VALUE… COMMAND…".to_owned(),
                None => String::new(),
            };
            Some(format!("{}{}{inner}", rule.name, shape_usage(shape, rule.launches.is_none())))
        }
        Arguments::Subcommands { globals, subcommands } => {
            let globals = flags_usage(globals);
            let one = |(name, shape): &(String, Shape)| format!("{name}{}", shape_usage(shape, true));
            let subcommands: Vec<String> = subcommands.iter().map(one).collect();
            Some(format!("{}{globals} {}", rule.name, subcommands.join(" | ")))
        }
    }
}

fn shape_usage(shape: &Shape, operands: bool) -> String {
    let flags = shape.flags.as_deref().map_or_else(|| " [any flag]".to_owned(), flags_usage);
    let kind = match &shape.operands {
        _ if !operands => String::new(),
        None => " […]".to_owned(),
        Some(Kind::Path) => " [PATH in a directory]".to_owned(),
        Some(Kind::WritablePath) => " [PATH in a rw directory]".to_owned(),
        Some(kind) => format!(" [{kind}]"),
    };
    flags + &kind
}

fn flags_usage(flags: &[Flag]) -> String {
    if flags.is_empty() {
        return String::new();
    }
    format!(" [{}]", flags.iter().map(Flag::to_string).collect::<Vec<_>>().join(" "))
}

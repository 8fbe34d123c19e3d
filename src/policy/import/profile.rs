//! `[profile.NAME]`: what every key gets, since the predecessors knew one sort of caller.

use super::PROFILE;
use super::commands::{Command, Commands, Fate};
use super::draft::{Draft, list, named, quoted};
use super::reputation::{was_hardened, was_refused};
use crate::policy::reach::is_interpreter;

/// A list's longest line.
const WIDTH: usize = 96;

/// Writes the profile of a file that allows commands, and of one for Kasm.
pub(super) fn write(commands: Option<&Commands<'_>>, has_kasm: bool, draft: &mut Draft) {
    draft.gap();
    draft.line(format!("[profile.{PROFILE}]"));
    if commands.is_none() {
        draft.comment("The file allows no command on this host.");
    }
    if has_kasm {
        draft.comment("This version serves no tool of kasm:all.");
    }
    let tools = [("shell_execute", commands.is_some()), ("kasm:all", has_kasm)];
    draft.line(format!("tools = {}", list(tools.iter().filter(|(_, is)| *is).map(|(tool, _)| *tool))));
    let Some(commands) = commands else { return };
    let granted: Vec<&Command> = commands.granted().collect();
    comment(commands, &granted, draft);
    write_list(&granted, draft);
    draft.comment("Nothing in a root of mode \"rw\" is to be executed; that is not held yet.");
    draft.line("roots = { tmp = \"rw\" }");
}

/// What is told of some commands: in front of their names, and behind.
type Told = (&'static str, &'static str);

const REFUSED: Told = (
    "Refused by the predecessor whatever its list said",
    "The file names them and kernos has rules for them, so that they run now: take out what is not wanted.",
);

const LAUNCHERS: Told = (
    "Launchers",
    "What they start is judged as a call of its own, by its own rule; and flags of theirs that are not listed are \
     refused.",
);

const HARDENED: Told = (
    "Refused by the predecessor with some arguments (such as find -exec, git -c, sort -o, tar --to-command, system() \
     of awk)",
    "kernos has no list of such arguments: they are open until the kernel holds what a command starts and opens. \
     Take out what is not wanted, or write narrower rules.",
);

const INTERPRETERS: Told = (
    "Interpreters",
    "Their arguments are programs, and open. In this version only the rights of `run_as` hold what they start and \
     open; the kernel is to hold them to their `spawns`, which is nothing unless a rule says so, and to the roots.",
);

const BUILT_IN: &str = "A name without a [command.NAME] above is a built-in rule (`kernos policy presets`). It is \
    narrower than the name alone was: it says what the program may start and whom it may reach, and for launchers which \
    flags they take. Other arguments are open, and what only the kernel can hold is not held yet.";

fn comment(commands: &Commands<'_>, granted: &[&Command], draft: &mut Draft) {
    let Some(setting) = commands.setting() else {
        draft.tell_of_none("The file allows no command, so that every call is refused, as it was.");
        return;
    };
    let names = || granted.iter().map(|one| one.name.as_str());
    let mut tell = |(before, behind): Told, names: Vec<&str>| {
        if !names.is_empty() {
            draft.tell(setting, format!("{before}: {}. {behind}", named(names)));
        }
    };
    tell(REFUSED, names().filter(|name| was_refused(name)).collect());
    tell(LAUNCHERS, names().filter(|name| ["env", "nohup", "timeout"].contains(name)).collect());
    tell(HARDENED, names().filter(|name| was_hardened(name)).collect());
    tell(INTERPRETERS, names().filter(|name| is_interpreter(name)).collect());
    if granted.iter().any(|one| one.fate == Fate::BuiltIn) {
        draft.comment(BUILT_IN);
    }
}

fn write_list(granted: &[&Command], draft: &mut Draft) {
    let mut lines: Vec<String> = Vec::new();
    for one in granted {
        let element = format!("{},", quoted(&one.rule));
        match lines.last_mut() {
            Some(line) if line.len() + element.len() < WIDTH => line.extend([" ", &element]),
            _ => lines.push(element),
        }
    }
    if lines.is_empty() {
        draft.line("commands = []");
        return;
    }
    draft.line("commands = [");
    for line in lines {
        draft.line(format!("    {line}"));
    }
    draft.line("]");
}

//! `[command.NAME]`: rules for names that have no built-in one, and what is told of those that get none.

use super::commands::{Command, Commands, Fate, Matched, Why};
use super::draft::{Draft, key, named, quoted};
use super::settings::Setting;

pub(super) fn write(commands: &Commands<'_>, draft: &mut Draft) {
    if let Some((setting, listed)) = &commands.listed {
        tell_of_left(setting, listed, draft);
        tell_of_missing(setting, listed, draft);
        if listed.iter().any(|one| one.fate == Fate::Rule) {
            draft.gap();
            draft.comment(
                "kernos has no built-in rules for these. Their arguments are open, as they were; `flags` and \
                 `operands` narrow them (docs/policy.md).",
            );
            write_rules(listed, draft);
        }
    }
    if let Some((setting, matched)) = &commands.matched {
        for one in matched {
            draft.gap();
            write_matched(setting, one, draft);
        }
    }
}

fn tell_of_left(setting: &Setting, listed: &[Command], draft: &mut Draft) {
    for why in Why::ALL {
        let left: Vec<&str> = names(listed, |one| one.fate == Fate::Left(why)).collect();
        if !left.is_empty() {
            draft.gap();
            draft.tell(setting, format!("Left out: {} ({}).", named(left), why.text()));
        }
    }
}

fn tell_of_missing(setting: &Setting, listed: &[Command], draft: &mut Draft) {
    let missing = names(listed, |one| !one.is_here && !matches!(one.fate, Fate::Left(_)));
    let missing: Vec<&str> = missing.collect();
    if !missing.is_empty() {
        draft.gap();
        draft.tell(
            setting,
            format!(
                "Not on this host: {}. Calls are refused until the program is there and the policy is loaded again.",
                named(missing)
            ),
        );
    }
}

fn write_matched(setting: &Setting, Matched { pattern, more }: &Matched<'_>, draft: &mut Draft) {
    let written = pattern.written;
    let matching = match &pattern.names {
        Ok(matching) => matching,
        Err(why) => {
            draft.tell(setting, format!("The pattern {written} is left out: {why}."));
            return;
        }
    };
    draft.tell(
        setting,
        format!(
            "The pattern {written} matches {} of this host's programs, and is no pattern any more: one that comes \
             later needs a rule of its own.",
            matching.len()
        ),
    );
    let refused: Vec<&str> = names(more, |one| one.fate == Fate::Left(Why::Refused)).collect();
    if !refused.is_empty() {
        draft.comment(format!("Left out, because the predecessor refused them: {}.", named(refused)));
    }
    let is_here = |name: &&String| more.iter().any(|one| one.name == **name && one.fate != Fate::BuiltIn);
    let elsewhere: Vec<&str> = matching.iter().filter(|name| !is_here(name)).map(String::as_str).collect();
    if !elsewhere.is_empty() {
        draft.comment(format!("Named already, or built in: {}.", named(elsewhere)));
    }
    write_rules(more, draft);
}

fn write_rules(commands: &[Command], draft: &mut Draft) {
    for Command { name, rule, .. } in commands.iter().filter(|one| one.fate == Fate::Rule) {
        draft.line(format!("[command.{}]", key(rule)));
        if rule != name {
            draft.line(format!("name = {}", quoted(name)));
        }
    }
}

fn names(commands: &[Command], is_meant: impl Fn(&Command) -> bool) -> impl Iterator<Item = &str> {
    commands.iter().filter(move |one| is_meant(one)).map(|one| one.name.as_str())
}

//! The assignments of a file by name, and which of them were asked for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Draft, named};
use super::env_file::{Assignment, Doubt};
use super::told::Position;

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) place: Position,
}

impl Setting {
    /// The parts of a list as the predecessors read it: split at commas, without white space, none empty.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        self.value.split(',').map(str::trim).filter(|part| !part.is_empty())
    }
}

/// All variables of a file.
#[derive(Debug)]
pub(super) struct Settings {
    variables: BTreeMap<String, Setting>,
    asked: RefCell<BTreeSet<String>>,
}

impl Settings {
    /// Of several assignments of one name the last counts, as for every reader of such files.
    pub(super) fn new(assignments: Vec<Assignment>, draft: &mut Draft) -> Self {
        let mut variables = BTreeMap::new();
        let mut quotes_were_told = false;
        for Assignment { name, value, place, doubts } in assignments {
            let setting = Setting { name: name.clone(), value, place };
            for doubt in doubts {
                // One of these says it for all.
                if doubt != Doubt::Quotes || !std::mem::replace(&mut quotes_were_told, true) {
                    draft.tell(&setting, format!("{name}: {}.", doubt.reading()));
                }
            }
            if variables.contains_key(&name) {
                draft.tell(&setting, format!("{name} is set more than once: this one counts."));
            }
            variables.insert(name, setting);
        }
        Self { variables, asked: RefCell::default() }
    }

    /// The variable of this name, unless it is blank.
    pub(super) fn find(&self, name: &str) -> Option<&Setting> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.variables.get(name).filter(|setting| !setting.value.trim().is_empty())
    }

    /// The first of these names that is set.
    pub(super) fn first(&self, names: &[&str]) -> Option<&Setting> {
        names.iter().fold(None, |found, name| {
            let one = self.find(name);
            found.or(one)
        })
    }

    /// Whether it is set, and be it to nothing.
    pub(super) fn has(&self, name: &str) -> bool {
        self.asked.borrow_mut().insert(name.to_owned());
        self.variables.contains_key(name)
    }

    /// Tells of every variable that nobody has asked for: its name, never its value.
    pub(super) fn tell_of_others(&self, draft: &mut Draft) {
        let asked = self.asked.borrow();
        let others: Vec<&Setting> =
            self.variables.values().filter(|one| !asked.contains(&one.name)).collect();
        if others.is_empty() {
            return;
        }
        draft.gap();
        let names = named(others.iter().map(|one| one.name.as_str()));
        draft.tell_of_none(format!(
            "These variables of the file are not known, and nothing came of them: {names}."
        ));
    }
}

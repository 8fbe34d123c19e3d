//! `[profile.NAME]`: grants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use toml::Spanned;

use super::Compiler;
use super::roots::Roots;
use super::rules::Rules;
use crate::policy::document::{Choice, Mode, Rate, Table, suggestion};
use crate::policy::grant::{Grant, RootGrant, SHELL_EXECUTE};
use crate::policy::limits::{Limits, Of};
use crate::policy::rule::Rule;

/// What all profiles share.
pub(super) struct Common {
    pub(super) limits: Limits,
    pub(super) environment: Vec<(String, String)>,
    pub(super) umask: u32,
}

/// Rights beyond tools, commands and roots. Nothing in this version asks for them.
#[derive(Clone, Copy)]
struct May;

impl Choice for May {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("jobs", Self), ("kasm-links", Self), ("kasm-root", Self), ("kasm-other-users", Self)];
}

impl Compiler<'_> {
    pub(super) fn profiles(
        &self,
        top: &Table<'_, '_>,
        rules: &Rules,
        roots: &Roots,
        common: &Common,
    ) -> BTreeMap<String, Arc<Grant>> {
        let profile = |(name, table): (Spanned<String>, Table<'_, '_>)| {
            let roots = self.root_grants(&table, roots);
            let limits =
                table.table("limits").map(|limits| Limits::read(&limits, Of::Calls)).unwrap_or_default();
            if table.read::<Vec<Spanned<May>>>("may").is_some_and(|may| !may.is_empty())
                && let Some(span) = table.place("may")
            {
                self.notes.warning(
                    &span,
                    "`may` has no effect in this version",
                    "no tool asks for these rights yet",
                );
            }
            let grant = Grant {
                profile: name.get_ref().clone(),
                tools: self.tools(&table),
                rules: self.commands(&table, rules),
                environment: environment(common, &roots),
                roots,
                limits: limits.over(common.limits),
                rate: table.read::<Rate>("rate"),
                umask: common.umask,
            };
            table.finish();
            self.programs_in_reach(&table, &grant);
            self.timeouts_that_are_cut(&table, &grant, limits);
            self.must_be_of_use(&table, &grant);
            (name.into_inner(), Arc::new(grant))
        };
        top.tables("profile").into_iter().map(profile).collect()
    }

    fn commands(&self, table: &Table<'_, '_>, rules: &Rules) -> Vec<Arc<Rule>> {
        let mut taken: Vec<Arc<Rule>> = Vec::new();
        for element in table.read::<Vec<Spanned<String>>>("commands").unwrap_or_default() {
            for rule in self.expand(rules, &element) {
                if taken.iter().all(|other| other.id != rule.id) {
                    taken.push(rule);
                }
            }
        }
        taken
    }

    /// What is written and wrong is told as that; this is about what is not written.
    fn must_be_of_use(&self, table: &Table<'_, '_>, grant: &Grant) {
        let lacks = |key: &str| table.place(key).is_none() || table.empty(key).is_some();
        let place = |key: &str| table.empty(key).unwrap_or_else(|| table.span.clone());
        if lacks("tools") {
            let message = format!("[{}] has no tool, so that its keys can do nothing", table.path);
            self.notes.warning(&place("tools"), message, "for example tools = [\"shell_execute\"]");
        }
        if !grant.tools.contains(SHELL_EXECUTE) {
            return;
        }
        if lacks("roots") {
            let message = format!("[{}] may run commands and has no root to run them in", table.path);
            self.notes.error(&place("roots"), message, "for example roots = { work = \"ro\" }");
        }
        if lacks("commands") {
            let message =
                format!("[{}] may run commands and lists none, so that all are refused", table.path);
            let remedy =
                "for example commands = [\"ls\"]; `kernos policy presets` prints rules that there are";
            self.notes.warning(&place("commands"), message, remedy);
        }
    }

    /// A program that its own callers can replace is no program of the policy's author.
    fn programs_in_reach(&self, table: &Table<'_, '_>, grant: &Grant) {
        for rule in grant.rules() {
            let Some(path) = rule.program().map(|program| &program.file.canonical) else { continue };
            let holds =
                |root: &&RootGrant| root.mode >= Mode::Write && path.beneath(&root.canonical).is_some();
            if let Some(root) = grant.roots.iter().find(holds) {
                let message =
                    format!("[{}]: `{}` is {path}, in [root.{}]", table.path, rule.name(), root.name);
                let span = table.place("commands").unwrap_or_else(|| table.span.clone());
                self.notes.warning(&span, message, "whoever has this profile can replace the program");
            }
        }
    }

    /// A `timeout` of one table that is longer than the `timeout_max` of another.
    fn timeouts_that_are_cut(&self, table: &Table<'_, '_>, grant: &Grant, own: Limits) {
        let cut = |key: &str, whose: &str, limits: Limits, all: Limits| {
            let Some(timeout) = limits.timeout.filter(|timeout| *timeout > all.longest()) else { return };
            let (asked, most) = (timeout.as_secs_f64(), all.longest().as_secs_f64());
            let message =
                format!("{whose} has a `timeout` of {asked} s and gets {most} s, its `timeout_max`");
            let span = table.place(key).unwrap_or_else(|| table.span.clone());
            self.notes.warning(&span, message, "write a `timeout_max` beside the `timeout`");
        };
        cut("limits", &format!("[{}]", table.path), own, grant.limits);
        for rule in grant.rules() {
            let whose = format!("`{}` in [{}]", rule.id.name, table.path);
            cut("commands", &whose, rule.limits, rule.limits.over(grant.limits));
        }
    }

    fn tools(&self, table: &Table<'_, '_>) -> BTreeSet<String> {
        let mut tools = BTreeSet::new();
        for element in table.read::<Vec<Spanned<String>>>("tools").unwrap_or_default() {
            let wanted = element.get_ref().as_str();
            let fits =
                |class: Option<&str>| class == Some(wanted) || (wanted == "kasm:all" && class.is_some());
            let meant: Vec<_> =
                self.tools.iter().filter(|tool| tool.name == wanted || fits(tool.class)).collect();
            if meant.is_empty() {
                let classes = self.tools.iter().filter_map(|tool| tool.class);
                let known = self.tools.iter().map(|tool| tool.name).chain(classes).chain(["kasm:all"]);
                let remedy = suggestion(wanted, known);
                self.notes.error(&element.span(), format!("there is no tool `{wanted}`"), remedy);
            }
            if meant.iter().any(|tool| !tool.served) {
                let message = format!("`{wanted}` is not served by this version");
                self.notes.warning(&element.span(), message, "the key is not offered it");
            }
            tools.extend(meant.into_iter().filter(|tool| tool.served).map(|tool| tool.name.to_owned()));
        }
        tools
    }

    fn root_grants(&self, table: &Table<'_, '_>, roots: &Roots) -> Vec<RootGrant> {
        let mut granted = Vec::new();
        for (name, mode) in table.entries::<Mode>("roots").unwrap_or_default() {
            let Some(root) = roots.sound.iter().find(|root| root.name == *name.get_ref()) else {
                // A root that was refused for its own reason is no second mistake.
                if !roots.names.contains(name.get_ref()) {
                    let message = format!("there is no [root.{}]", name.get_ref());
                    let remedy = suggestion(name.get_ref(), roots.names.iter().map(String::as_str));
                    self.notes.error(&name.span(), message, remedy);
                }
                continue;
            };
            granted.push(RootGrant {
                name: root.name.clone(),
                written: root.written.clone(),
                canonical: root.canonical.clone(),
                mode,
            });
        }
        granted
    }
}

/// The variables of every command: those of `[environment]`, and a home and a place for temporary files.
fn environment(common: &Common, roots: &[RootGrant]) -> Vec<(String, String)> {
    let mut environment = common.environment.clone();
    let mut add = |name: &str, root: Option<&RootGrant>| {
        if let Some(root) = root
            && environment.iter().all(|(other, _)| other != name)
        {
            environment.push((name.to_owned(), root.written.to_string()));
        }
    };
    add("HOME", roots.first());
    let temporary = roots.iter().find(|root| root.written.as_str() == "/tmp");
    add("TMPDIR", temporary.or(roots.iter().find(|root| root.mode >= Mode::Write)));
    environment
}

//! `[command.NAME]` and the presets: rules.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;

use super::examples::Calls;
use super::{Compiler, variables};
use crate::policy::document::{
    Notes, OneOrMany, Span, Table, WholeNumber, is_name, nearest, parse, suggestion,
};
use crate::policy::host::Account;
use crate::policy::limits::{Limits, Of};
use crate::policy::presets;
use crate::policy::rule::{Arguments, Flag, Kind, Launches, Network, Origin, Rule, RuleId, Shape};
use crate::vocab::AbsPath;

/// Programs that stand for many: whoever may run one of their names may run all of them.
const MULTI_CALL: [&str; 4] = ["busybox", "toybox", "coreutils", "uutils"];

/// Operands of a launcher itself: each is a word of the usage that agents read.
const OPERANDS_MAX: usize = 16;

/// Every rule that a profile can take.
pub(super) struct Rules {
    file: Vec<Written>,
    presets: Vec<Written>,
    groups: BTreeMap<String, Vec<String>>,
    search: String,
    users: Vec<Account>,
    resolved: RefCell<BTreeMap<String, Arc<Rule>>>,
}

/// A rule as it was read, with its examples and the program that it wants.
pub(super) struct Written {
    pub(super) rule: Rule,
    program: String,
    pub(super) span: Span,
    /// Whether it was read without a mistake; else its examples would be judged by half a rule.
    pub(super) sound: bool,
    pub(super) allows: Vec<Example>,
    pub(super) refuses: Vec<Example>,
}

/// The words of a call, as `allows` and `refuses` hold them.
pub(super) type Example = Spanned<Vec<Spanned<String>>>;

impl Rules {
    /// The rules of the file itself.
    pub(super) fn of_file(&self) -> impl Iterator<Item = &Written> {
        self.file.iter()
    }

    /// All rules, those of the file before the presets; a preset that the file replaces is not there.
    pub(super) fn all(&self) -> impl Iterator<Item = &Written> {
        self.file.iter().chain(&self.presets)
    }

    fn find(&self, name: &str) -> Option<&Written> {
        self.all().find(|written| written.rule.id.name == name)
    }
}

impl Compiler<'_> {
    pub(super) fn rules(&self, top: &Table<'_, '_>, search: &str, users: &[Account]) -> Rules {
        let origin = |table: &Table<'_, '_>| Origin::File {
            file: self.file.to_owned(),
            line: self.notes.line(&table.span),
        };
        let file: Vec<Written> = top
            .tables("command")
            .into_iter()
            .map(|(name, table)| read(name, &table, origin(&table)))
            .collect();
        let (mut presets, groups) = preset_rules();
        presets.retain(|preset| file.iter().all(|written| written.rule.id.name != preset.rule.id.name));
        let (search, users) = (search.to_owned(), users.to_vec());
        let rules = Rules { file, presets, groups, search, users, resolved: RefCell::default() };
        for written in &rules.file {
            self.resolve(&rules, written, &written.span);
            self.spawned(&rules, written);
        }
        rules
    }

    /// The rules that an element of a profile's `commands` stands for.
    pub(super) fn expand(&self, rules: &Rules, element: &Spanned<String>) -> Vec<Arc<Rule>> {
        let name = element.get_ref().as_str();
        let names = match name.strip_prefix('@') {
            Some(group) => rules.groups.get(group).cloned().unwrap_or_else(|| {
                let known: Vec<String> = rules.groups.keys().map(|group| format!("@{group}")).collect();
                let remedy = suggestion(name, known.iter().map(String::as_str));
                self.notes.error(&element.span(), format!("there is no preset `{name}`"), remedy);
                Vec::new()
            }),
            None => vec![name.to_owned()],
        };
        let one = |name: String| {
            let Some(written) = rules.find(&name) else {
                let message = if is_name(&name) {
                    format!("`{name}` is no rule: there is no [command.{name}] and no such preset")
                } else {
                    format!("`{name}` is not the name of a rule")
                };
                self.notes.error(&element.span(), message, instead_of(&name, rules));
                return None;
            };
            Some(self.resolve(rules, written, &element.span()))
        };
        names.into_iter().filter_map(one).collect()
    }

    /// The rule with its program, which is looked up once.
    fn resolve(&self, rules: &Rules, written: &Written, span: &Span) -> Arc<Rule> {
        let name = &written.rule.id.name;
        if let Some(rule) = rules.resolved.borrow().get(name) {
            return Arc::clone(rule);
        }
        let program = match self.host.program(&written.program, &rules.search, &rules.users) {
            Ok(found) => {
                self.inspect(name, &found, span);
                Ok(found.program)
            }
            Err(missing) => {
                self.notes.warning(
                    span,
                    format!("`{name}`: {missing}"),
                    "calls of it are refused until it is there",
                );
                Err(missing.0)
            }
        };
        let rule = Arc::new(Rule { program, ..written.rule.clone() });
        rules.resolved.borrow_mut().insert(name.clone(), Arc::clone(&rule));
        rule
    }

    fn inspect(&self, name: &str, found: &crate::policy::Found, span: &Span) {
        let file = &found.program.file;
        if let Some(path) = &found.unguarded {
            let message = format!("`{name}`: a user of kernos can change {path}");
            self.notes.warning(span, message, "let root own it and the directories above it");
        }
        if MULTI_CALL.contains(&file.canonical.name()) {
            let message = format!("`{name}` is {}, one program with many names", file.canonical);
            self.notes.warning(span, message, "whoever may run one of them may run all of them");
        }
        if file.privileged {
            let message = format!("`{name}`: {} is set-user-ID or has capabilities", file.canonical);
            self.notes.warning(span, message, "it gets neither here (no_new_privs), and may fail");
        }
    }

    fn spawned(&self, rules: &Rules, written: &Written) {
        for name in written.rule.spawns.iter().filter(|name| *name != "@all" && rules.find(name).is_none()) {
            if let Err(missing) = self.host.program(name, &rules.search, &rules.users) {
                let message = format!("`{}` spawns `{name}`: {missing}", written.rule.id.name);
                self.notes.warning(&written.span, message, "it cannot be started until it is there");
            }
        }
    }
}

/// What would be right in the place of something that is no rule.
fn instead_of(name: &str, rules: &Rules) -> String {
    let known = || rules.all().map(|written| written.rule.id.name.as_str());
    let table = |name: &str| {
        let is_bare = !name.contains(['+', '.']);
        if is_bare { format!("[command.{name}]") } else { format!("[command.{name:?}]") }
    };
    let called = name.rsplit('/').next().unwrap_or(name);
    let first = name.split_whitespace().next().unwrap_or_default();
    if is_name(name) {
        let table = format!("write {}: empty, it allows any arguments", table(name));
        return nearest(name, known())
            .map_or(table.clone(), |near| format!("did you mean `{near}`? or {table}"));
    }
    if is_name(called) && known().any(|known| known == called) {
        return format!("write \"{called}\"; `program` in {} says which file that is", table(called));
    }
    if is_name(called) && name.starts_with('/') {
        return format!("write \"{called}\", and program = \"{name}\" in {}", table(called));
    }
    if is_name(first) {
        return format!(
            "write \"{first}\"; `flags` and `operands` in {} say with which arguments",
            table(first)
        );
    }
    "a rule of any name can be for it: name = \"…\" in [command.NAME]".to_owned()
}

/// The presets; a mistake in them is a mistake in this crate, and its tests find it.
fn preset_rules() -> (Vec<Written>, BTreeMap<String, Vec<String>>) {
    let source = presets::source();
    let notes = Notes::new(&source);
    let document = parse(&source.text, &notes);
    let top = Table::root(&document, &notes);
    let rules =
        top.tables("command").into_iter().map(|(name, table)| read(name, &table, Origin::Preset)).collect();
    let groups = top.entries::<Vec<Spanned<String>>>("preset").unwrap_or_default().into_iter();
    let groups = groups.map(|(name, rules)| {
        (name.into_inner(), rules.into_iter().map(Spanned::into_inner).collect::<Vec<_>>())
    });
    let groups = groups.collect();
    top.finish();
    debug_assert_eq!(notes.finish().0, []);
    (rules, groups)
}

fn read(name: Spanned<String>, table: &Table<'_, '_>, origin: Origin) -> Written {
    let span = name.span();
    let errors = table.notes.errors();
    let id = Arc::new(RuleId { name: name.into_inner(), origin });
    let called = table.read::<String>("name").unwrap_or_else(|| id.name.clone());
    let program = program(table).unwrap_or_else(|| called.clone());
    let launches = table.read("launches");
    let arguments = arguments(table, launches.is_some());
    let list = |key| table.read::<OneOrMany<String>>(key).map(|list| list.0).unwrap_or_default();
    let rule = Rule {
        id,
        name: called,
        program: Err("its program was not looked up".to_owned()),
        arguments,
        launches,
        spawns: list("spawns").into_iter().map(Spanned::into_inner).collect(),
        helpers: helpers(table),
        network: network(table),
        environment: variables(table, "environment").unwrap_or_default(),
        limits: table.table("limits").map(|limits| Limits::read(&limits, Of::Command)).unwrap_or_default(),
    };
    let examples = |key| table.read(key).map(|Calls(calls)| calls).unwrap_or_default();
    let (allows, refuses) = (examples("allows"), examples("refuses"));
    table.finish();
    if rule.id.origin != Origin::Preset {
        unenforced(table);
    }
    let sound = table.notes.errors() == errors;
    Written { rule, program, span, sound, allows, refuses }
}

fn program(table: &Table<'_, '_>) -> Option<String> {
    let program = table.take::<String>("program")?;
    let text = program.get_ref();
    // A path from where kernos happens to be started would be another program each time.
    if text.is_empty() || (text.contains('/') && !text.starts_with('/')) {
        let message = format!("`{text}` is neither the name of a program nor an absolute path");
        table.notes.error(&program.span(), message, "for example \"make\" or \"/usr/bin/make\"");
    }
    Some(program.into_inner())
}

/// Says of each key that only the kernel could hold that it does not yet.
fn unenforced(table: &Table<'_, '_>) {
    for key in ["network", "spawns", "helpers", "launches"] {
        if let Some(span) = table.place(key) {
            let meaning = if key == "launches" { "the inner command is judged, but " } else { "" };
            let message =
                format!("`{key}` is not enforced by this version: {meaning}the kernel does not hold it");
            table.notes.warning(&span, message, "the command may start and reach what its user can");
        }
    }
}

fn helpers(table: &Table<'_, '_>) -> Vec<AbsPath> {
    let helpers = table.read::<Vec<Spanned<AbsPath>>>("helpers").unwrap_or_default();
    helpers.into_iter().map(Spanned::into_inner).collect()
}

fn network(table: &Table<'_, '_>) -> Vec<Network> {
    let Some(peers) = table.read::<OneOrMany<String>>("network") else { return Vec::new() };
    let peer = |text: &Spanned<String>| match text.get_ref().as_str() {
        "none" if peers.0.len() == 1 => None,
        "dns" => Some(Network::Dns),
        "any" => Some(Network::Any),
        other => {
            let port = other.strip_prefix("tcp:").and_then(|port| port.parse().ok()).filter(|&port| port > 0);
            if port.is_none() {
                let message = format!("`{other}` is no network");
                let remedy = if other.starts_with("tcp:") {
                    "a port is a number from 1 to 65535: for example tcp:443"
                } else {
                    "write none (alone), tcp:PORT, dns or any"
                };
                table.notes.error(&text.span(), message, remedy);
            }
            port.map(Network::Tcp)
        }
    };
    peers.0.iter().filter_map(peer).collect()
}

fn arguments(table: &Table<'_, '_>, launches: bool) -> Arguments {
    let globals = flags(table, "globals");
    let subcommands = table.tables("sub");
    if let Some(span) = table.empty("sub") {
        // Without any of them the rule would allow every word.
        let message = format!("`{}.sub` is empty, which allows no call", table.path);
        let remedy = format!("leave it out for any arguments, or write [{}.sub.NAME]", table.path);
        table.notes.error(&span, message, remedy);
    }
    let shape = shape(table);
    if launches && shape.flags.is_none() {
        let message = format!("[{}] launches a command, but its own flags are not listed", table.path);
        table.notes.error(&table.span, message, "list them: flags = []");
    }
    if subcommands.is_empty() {
        if globals.is_some() {
            let message = format!("[{}] has `globals` and no subcommand", table.path);
            table.notes.error(&table.span, message, "write the flags as `flags`");
        }
        return Arguments::Plain(shape);
    }
    for key in ["flags", "operands", "launches"] {
        if let Some(span) = table.place(key) {
            let message = format!("[{}] has subcommands, so `{key}` has no place", table.path);
            table.notes.error(&span, message, "options before the subcommand are `globals`");
        }
    }
    let subcommand = |(name, sub): (Spanned<String>, Table<'_, '_>)| {
        let shape = self::shape(&sub);
        sub.finish();
        (name.into_inner(), shape)
    };
    let subcommands = subcommands.into_iter().map(subcommand).collect();
    Arguments::Subcommands { globals: globals.unwrap_or_default(), subcommands }
}

fn shape(table: &Table<'_, '_>) -> Shape {
    let operands = table.take::<String>("operands").and_then(|kind| {
        let read = Kind::parse(kind.get_ref());
        let read = read.map_err(|wrong| table.notes.error(&kind.span(), wrong, "")).ok();
        ambiguous(read.as_ref(), &kind.span(), table.notes);
        read
    });
    Shape { flags: flags(table, "flags"), operands }
}

fn flags(table: &Table<'_, '_>, key: &'static str) -> Option<Vec<Flag>> {
    let flags = table.read::<Vec<Spanned<String>>>(key)?;
    let flag = |text: &Spanned<String>| {
        let read = Flag::parse(text.get_ref());
        let read =
            read.map_err(|wrong| table.notes.error(&text.span(), wrong, "for example \"-n=int\"")).ok();
        ambiguous(read.as_ref().and_then(|flag| flag.value.as_ref()), &text.span(), table.notes);
        read
    };
    Some(flags.iter().filter_map(flag).collect())
}

/// `git config --type` has `int` and `path` among its words, so that they cannot be refused as words.
fn ambiguous(kind: Option<&Kind>, span: &Span, notes: &Notes<'_>) {
    if let Some(word) = kind.and_then(Kind::ambiguous) {
        let message = format!("`{word}` is a word here, not the kind of that name");
        notes.warning(
            span,
            message,
            "a kind stands alone: words that are joined by `|` are taken as they are",
        );
    }
}

impl crate::policy::document::FromValue for Launches {
    fn from_value(
        value: &Spanned<toml::de::DeValue<'_>>,
        field: &crate::policy::document::Field<'_>,
    ) -> Option<Self> {
        match value.get_ref().as_str() {
            Some("NAME=VALUE") => return Some(Self::AfterAssignments),
            Some(_) => {}
            None => match WholeNumber::from_value(value, field)? {
                WholeNumber(operands) if operands <= OPERANDS_MAX => return Some(Self::After(operands)),
                _ => {}
            },
        }
        let message =
            format!("`{}` must be a number of operands up to {OPERANDS_MAX}, or \"NAME=VALUE\"", field.path);
        field.notes.error(&value.span(), message, "for example launches = 1");
        None
    }
}

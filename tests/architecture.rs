//! The floors of the source, held: who may import whom, and which crate belongs where.
//!
//! Not a parser of Rust: it reads paths that start with a crate's name, which is how this source writes them.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first. A floor imports only floors below it.
const FLOORS: [(&str, u8); 9] = [
    ("vocab", 0),
    ("command", 1),
    ("policy", 2),
    ("sandbox", 3),
    ("kasm", 3),
    ("exec", 4),
    ("tools", 5),
    ("http", 6),
    ("daemon", 7),
];

/// Where a path may occur: in these folders or files, and in none of those.
struct Place {
    path: &'static str,
    only: &'static [&'static str],
    never: &'static [&'static str],
}

const PLACES: [Place; 14] = [
    only("axum", &["http/"]),
    only("clap", &["daemon/"]),
    only("prometheus", &["http/"]),
    only("regex_lite", &["policy/import/"]),
    only("rmcp", &["http/"]),
    only("tokio_rustls", &["http/"]),
    only("webpki", &["http/"]),
    only("toml", &["policy/"]),
    only("caps", &["sandbox/"]),
    only("nix", &["sandbox/", "exec/", "daemon/"]),
    only("std::env", &["daemon/"]),
    only("std::process::Command", &["exec/"]),
    Place {
        path: "tokio",
        only: &["exec/", "kasm/", "tools/", "http/", "daemon/"],
        never: &["exec/executor/"],
    },
    Place { path: "unsafe_code", only: &["exec/executor/clone.rs", "daemon/memory.rs"], never: &[] },
];

const fn only(path: &'static str, only: &'static [&'static str]) -> Place {
    Place { path, only, never: &[] }
}

/// Files that meet the protocol's crate: the fewer, the less there is to change when it does.
const PROTOCOL_FILES: usize = 2;

/// Half of the files of programs that we admire are under 350 lines; beyond this nobody reads one.
const LONGEST_FILE: usize = 500;

/// One file of the source: its path below `src`, and its text without comments and unit tests.
struct File {
    name: String,
    text: String,
    lines: usize,
}

#[test]
fn a_floor_imports_only_floors_below_it() {
    let wrong: Vec<String> = source().iter().flat_map(climbs).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_is_a_floor() {
    let folders =
        fs::read_dir(root()).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    let strangers: Vec<_> = folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| floor(name).is_none())
        .collect();
    assert!(strangers.is_empty(), "not in the table of floors: {strangers:?}");
}

#[test]
fn every_crate_stays_on_its_floor() {
    let wrong: Vec<String> = source().iter().flat_map(strays).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_protocol_is_met_in_few_files() {
    let files = source();
    let meeting: Vec<&str> = files
        .iter()
        .filter(|file| paths(&file.text).iter().any(|path| starts(path, "rmcp")))
        .map(|file| &*file.name)
        .collect();
    assert!(
        meeting.len() <= PROTOCOL_FILES,
        "rmcp is imported by {meeting:?}, more than {PROTOCOL_FILES} files"
    );
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = source()
        .iter()
        .filter(|file| file.lines > LONGEST_FILE)
        .map(|file| format!("{} has {} lines, more than {LONGEST_FILE}", file.name, file.lines))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn paths_are_found_however_they_are_grouped() {
    let text = "use crate::{http::auth, policy::{Plan, Grant}}; use std::{env, io::Read as _};\n#[tokio::main] x(nix::unistd::getpid()); crate::vocab::Secret::new(); a.std::b; \"toml::x\"";
    assert_eq!(
        paths(text),
        [
            "crate::http::auth",
            "crate::policy::Plan",
            "crate::policy::Grant",
            "std::env",
            "std::io::Read",
            "tokio::main",
            "nix::unistd::getpid",
            "crate::vocab::Secret::new",
        ]
    );
}

#[test]
fn a_climb_is_told_with_both_floors() {
    let file = File { name: "policy/compile.rs".into(), text: "use crate::{http, vocab};".into(), lines: 1 };
    assert_eq!(climbs(&file), ["policy/compile.rs imports http (F2 → F6)"]);
    let file = File { name: "sandbox/mod.rs".into(), text: "crate::kasm::Client".into(), lines: 1 };
    assert_eq!(climbs(&file), ["sandbox/mod.rs imports kasm (F3 → F3)"]);
}

#[test]
fn a_stray_is_told_with_where_it_belongs() {
    let file = File { name: "tools/mod.rs".into(), text: "std::process::Command::new(x)".into(), lines: 1 };
    assert_eq!(strays(&file), ["tools/mod.rs uses std::process::Command, which belongs in exec/"]);
    let file = File { name: "exec/executor/mod.rs".into(), text: "use tokio::time;".into(), lines: 1 };
    assert_eq!(strays(&file).len(), 1);
}

/// Imports of the same floor's neighbour or of a floor above.
fn climbs(file: &File) -> Vec<String> {
    let Some((own, _)) = file.name.split_once('/') else { return Vec::new() };
    let Some(from) = floor(own) else { return Vec::new() };
    let mut imported: Vec<String> = paths(&file.text)
        .iter()
        .filter_map(|path| path.strip_prefix("crate::")?.split("::").next().map(str::to_owned))
        .filter(|name| name != own && floor(name).is_some_and(|to| to >= from))
        .collect();
    imported.dedup();
    let told = |name: String| {
        let to = floor(&name).expect("it was found above");
        format!("{} imports {name} (F{from} → F{to})", file.name)
    };
    imported.into_iter().map(told).collect()
}

/// Crates and parts of the standard library that belong elsewhere.
fn strays(file: &File) -> Vec<String> {
    let used = paths(&file.text);
    let in_any = |places: &[&str]| places.iter().any(|place| file.name.starts_with(place));
    PLACES
        .iter()
        .filter(|place| !in_any(place.only) || in_any(place.never))
        .filter(|place| {
            used.iter().any(|path| starts(path, place.path))
                || file.text.contains(&format!("({}", place.path))
        })
        .map(|place| format!("{} uses {}, which belongs in {}", file.name, place.path, place.only.join(", ")))
        .collect()
}

fn starts(path: &str, with: &str) -> bool {
    path.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(floor, _)| *floor == name).map(|(_, number)| *number)
}

/// Every path of at least two names, with the groups of `use` written out.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let length = word(rest);
        if length == 0 {
            before = first;
            rest = &rest[first.len_utf8()..];
        } else if ['.', ':', '"'].contains(&before) || !rest[length..].starts_with("::") {
            before = 'a';
            rest = &rest[length..];
        } else {
            rest = expand("", rest, &mut found);
            before = ' ';
        }
    }
    found
}

/// Reads one path, or one group's member, and gives what follows it.
fn expand<'a>(prefix: &str, text: &'a str, found: &mut Vec<String>) -> &'a str {
    let length = word(text);
    let path = format!("{prefix}{}", &text[..length]);
    let rest = &text[length..];
    let Some(rest) = rest.strip_prefix("::") else {
        found.push(path);
        return rest;
    };
    let prefix = format!("{path}::");
    let Some(mut group) = rest.strip_prefix('{') else {
        return expand(&prefix, rest, found);
    };
    loop {
        group = group.trim_start_matches([' ', '\n', ',']);
        if word(group) > 0 {
            group = expand(&prefix, group, found);
        }
        // A rename, `as other`, is no part of the path.
        let end = group.find([',', '}']).unwrap_or(group.len());
        let ended = group[end..].starts_with('}') || group[end..].is_empty();
        group = group.get(end + 1..).unwrap_or_default();
        if ended {
            return group;
        }
    }
}

fn word(text: &str) -> usize {
    text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len())
}

fn source() -> Vec<File> {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    assert!(!files.is_empty(), "no source below {}", root().display());
    files
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let lines = text.lines().count();
            let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code = program.lines().map(|line| line.split("//").next().unwrap_or_default());
            let text = code.collect::<Vec<_>>().join("\n");
            files.push(File { name, text, lines });
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

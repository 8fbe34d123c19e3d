//! The documents say what the program does: names that they mention exist, and what they list is complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use kernos::daemon::cli::{self, Cli};

/// Every Markdown file of the repository that is written by hand.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in ["", "docs", "docs/adr"] {
        for entry in fs::read_dir(root().join(directory)).expect("it is part of the repository") {
            let path = entry.expect("it can be listed").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of every Rust file below a directory.
fn sources(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).expect("it is part of the repository") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &read(&path);
        }
    }
    text
}

/// The rows of all tables of a document, as cells. A pipe inside a cell is written `\|`.
fn rows(document: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let line = line.replace("\\|", "\u{0}");
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
    };
    document.lines().filter(|line| line.starts_with('|')).map(cells).collect()
}

/// What stands between backticks.
fn code_spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_test_that_answers_a_known_attack_exists() {
    let sources = sources(&root().join("src")) + &sources(&root().join("tests"));
    let document = read("docs/known-attacks.md");
    let named: BTreeSet<String> = rows(&document)
        .iter()
        .filter(|row| row.len() == 4)
        .flat_map(|row| code_spans(&row[3]).into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !sources.contains(&format!("fn {name}()"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The names of variables in a text that are quoted in it: `"ALLOW_COMMANDS"`.
fn variables(text: &str) -> BTreeSet<&str> {
    let is_variable = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !word.ends_with('_')
    };
    text.split('"').filter(is_variable).collect()
}

#[test]
fn every_setting_that_an_import_knows_is_described_and_no_other() {
    let source: String = fs::read_dir(root().join("src/policy/import"))
        .expect("it is part of the repository")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs")
        })
        .map(read)
        .collect();
    let document = read("docs/moving-in.md");
    let rows = rows(&document);
    let settings: BTreeSet<&str> =
        rows.iter().filter(|row| row.len() == 3).flat_map(|row| code_spans(&row[0])).collect();
    assert!(settings.len() > 20, "{settings:?}");
    assert_eq!(variables(&source), settings);
}

#[test]
fn every_test_of_a_defect_that_is_mended_exists() {
    let source = read("tests/blackbox/defects.rs");
    let document = read("docs/moving-in.md");
    let rows = rows(&document);
    let defects = rows.iter().filter(|row| row.len() == 5 && row[0].starts_with('B'));
    let named: Vec<&str> = defects.flat_map(|row| code_spans(&row[4])).collect();
    assert_eq!(named.len(), 16);
    for name in named {
        assert!(source.contains(&format!("fn {name}()")), "{name}");
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = read(&document);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            if !document.parent().expect("a file has one").join(target).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 200, "{lines} lines");
}

#[test]
fn the_tools_of_the_readme_are_those_that_there_are() {
    let printed = Command::new(env!("CARGO_BIN_EXE_kernos")).args(["tools", "--markdown"]).output();
    let printed = String::from_utf8(printed.expect("it was built").stdout).expect("it is text");
    let readme = read("README.md");
    let table = readme
        .split_once("<!-- tools:begin -->\n")
        .and_then(|(_, rest)| rest.split_once("<!-- tools:end -->"));
    assert_eq!(
        table.map(|(table, _)| table),
        Some(printed.as_str()),
        "write what `kernos tools --markdown` prints"
    );
}

#[test]
fn every_metric_that_is_described_exists() {
    let document = read("docs/http.md");
    let source = read("src/http/metrics.rs") + &read("src/http/queue.rs");
    let described: BTreeSet<&str> =
        code_spans(&document).into_iter().filter(|name| name.starts_with("kernos_")).collect();
    let missing: Vec<_> = described
        .iter()
        .map(|name| {
            name.trim_start_matches("kernos_")
                .trim_end_matches("_total")
                .trim_end_matches("_duration_seconds")
        })
        .filter(|stem| !source.contains(stem))
        .collect();
    assert!(described.len() > 10 && missing.is_empty(), "{missing:?}");
}

/// The fenced blocks of a document in these languages.
fn blocks(document: &str, languages: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, part) in document.split("```").enumerate() {
        let Some((language, text)) = part.split_once('\n') else { continue };
        if number % 2 == 1 && languages.contains(&language) {
            found.push(text.to_owned());
        }
    }
    found
}

#[test]
fn what_the_readme_gives_to_paste_is_what_clients_are_tried_with() {
    let (readme, page) = (read("README.md"), read("docs/clients.md"));
    let section = readme
        .split_once("## Five minutes with a client\n")
        .and_then(|(_, rest)| rest.split_once("Now something that is not allowed"));
    let given = blocks(section.expect("the README has that section").0, &["sh"]);
    let untried: Vec<_> = given.iter().filter(|block| !page.contains(*block)).collect();
    assert!(given.len() >= 4 && untried.is_empty(), "{untried:?}");
}

#[test]
fn every_entry_for_a_client_can_be_read() {
    let page = read("docs/clients.md");
    let entries = blocks(&page, &["json"]);
    for entry in &entries {
        let entry: serde_json::Value =
            serde_json::from_str(entry).unwrap_or_else(|error| panic!("{error}: {entry}"));
        assert!(entry.to_string().contains("http://127.0.0.1:22021/mcp"), "{entry}");
    }
    for entry in blocks(&page, &["toml"]) {
        entry.parse::<toml::Table>().unwrap_or_else(|error| panic!("{error}: {entry}"));
    }
    assert!(entries.len() >= 7, "{entries:?}");
}

#[test]
fn clients_are_told_of_in_the_versions_that_are_tried() {
    let page = read("docs/clients.md");
    let packages: serde_json::Value = serde_json::from_str(&read("tests/clients/package.json")).unwrap();
    for (name, version) in packages["dependencies"].as_object().unwrap() {
        let version = version.as_str().unwrap();
        let named: BTreeSet<&str> = page
            .split(&format!("{name}@"))
            .skip(1)
            .filter_map(|rest| rest.split([' ', '"', '\n']).next())
            .collect();
        assert!(named.iter().all(|one| *one == version), "{name}: {version} is tried, not {named:?}");
        assert!(name == "node" || page.contains(version), "{name}: nothing of {version}");
    }
    for list in ["fastmcp-3", "fastmcp-4", "mcp"] {
        let pinned = read(format!("tests/clients/requirements-{list}.txt"));
        let version = pinned.trim().split_once("==").expect("a version is pinned").1;
        assert!(page.contains(version), "{list}: nothing of {version}");
    }
}

/// The schema that it names, as far as what it has goes: the schema itself is not here to be read.
#[test]
fn the_entry_for_the_registry_is_of_this_version_and_has_what_its_schema_asks() {
    let entry: serde_json::Value = serde_json::from_str(&read("server.json")).unwrap();
    let text = |member: &str| entry[member].as_str().unwrap_or_else(|| panic!("no {member}"));
    assert_eq!(text("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(
        text("$schema"),
        "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
    );
    assert!((1..=100).contains(&text("description").chars().count()));
    let fits = |part: &str, more: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let (space, name) = text("name").split_once('/').expect("a namespace and a name");
    assert!(fits(space, ".-") && fits(name, "._-"), "{space}/{name}");

    let remote = &entry["remotes"][0];
    assert_eq!((&remote["type"], &remote["url"]), (&"streamable-http".into(), &"https://{host}/mcp".into()));
    assert!(remote["variables"]["host"].is_object());
    let header = &remote["headers"][0];
    assert_eq!((&header["name"], &header["value"]), (&"Authorization".into(), &"Bearer {key}".into()));
    assert_eq!(header["variables"]["key"]["isSecret"], true);
}

#[test]
fn the_unit_of_systemd_calls_kernos_in_words_that_it_knows_and_where_it_listens() {
    let unit = read("packaging/kernos.service");
    let setting = |name: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {name}="))
    };
    // With its full privileges (+): that of root to read the policy.
    let reload = setting("ExecReload").strip_prefix('+').expect("it is for root");
    let asked = |line: &str| Cli::try_parse_from(line.split_whitespace()).unwrap().asked();
    let (cli::Command::Serve(serve), cli::Command::Reload(reload)) =
        (asked(setting("ExecStart")), asked(reload))
    else {
        panic!("it serves and reloads")
    };
    assert_eq!(serve.config.as_deref(), Some(Path::new("/etc/kernos/kernos.toml")));
    assert_eq!((serve.control, reload.config), (None, None), "both have defaults, and the same");
    assert_eq!(reload.control, Path::new("/run").join(setting("RuntimeDirectory")).join("control"));
}

/// Done with places of the test's own, and with numbers in place of users who may not be there.
#[test]
fn the_policy_that_the_readme_installs_is_sound_and_fits_what_it_makes() {
    let readme = read("README.md");
    let section = readme.split_once("## On a host\n").expect("the README has that section").1;
    let place = tempfile::tempdir().unwrap();
    let (work, file) = (place.path().join("work"), place.path().join("etc/kernos.toml"));
    fs::create_dir(&work).unwrap();
    let steps = blocks(section, &["sh"]).remove(0);
    assert!(steps.contains(" /srv/work\n"), "it makes the root: {steps}");
    let steps: String = steps
        .lines()
        .filter(|line| line.contains("/etc/kernos") && !line.contains("kernos serve"))
        .map(|line| line.replace("\"kernos\"", "60903").replace("\"kernos-run\"", "60904") + "\n")
        .collect();
    let steps = steps
        .replace("/etc/kernos", &place.path().join("etc").to_string_lossy())
        .replace("/srv/work", &work.to_string_lossy());
    let binary = env!("CARGO_BIN_EXE_kernos");
    let script =
        format!("set -e; kernos() {{ '{binary}' \"$@\"; }}\n{steps}kernos check '{}'", file.display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{output:?}");
    let policy: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
    assert_eq!(policy["root"]["work"]["path"].as_str(), work.to_str());
    let users = [&policy["server"]["user"], &policy["server"]["run_as"]].map(toml::Value::as_integer);
    assert_eq!(users, [Some(60903), Some(60904)]);
    assert!(policy["key"]["alice"]["profile"].is_str());
}

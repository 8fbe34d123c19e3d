//! Whole files become whole policies, and every policy that is printed is sound.

use proptest::prelude::*;

use super::{Imported, Mistake, Position, Shelf, import};
use crate::policy::testing::{FakeHost, TOOLS, printed};
use crate::policy::{Account, Compiled, Finding, Found, Host, Missing, Source, Tls, compile};
use crate::vocab::{AbsPath, Secret};

/// What is in the directories of the fake host.
const PROGRAMS: [&str; 9] = ["[", "cat", "g++", "grep", "ls", "python3", "python3.11", "rg", "xargs"];

/// The fake host, without a few programs and, if need be, without the users of an installation.
struct Stand {
    root: bool,
    has_users: bool,
}

const HOST: Stand = Stand { root: true, has_users: true };

impl Host for Stand {
    fn program(&self, name: &str, search: &str, users: &[Account]) -> Result<Found, Missing> {
        let lacking = ["cd", "eval", "gone"].contains(&name);
        FakeHost { root: self.root }.program(if lacking { "run-captured" } else { name }, search, users)
    }

    fn directory(&self, path: &AbsPath) -> Result<AbsPath, Missing> {
        FakeHost { root: self.root }.directory(path)
    }

    fn account(&self, name: &str) -> Result<Account, Missing> {
        if self.has_users || name != "kernos-run" {
            return FakeHost { root: self.root }.account(name);
        }
        Err(Missing("there is no such user".to_owned()))
    }

    fn unprivileged(&self) -> Option<Account> {
        FakeHost { root: self.root }.unprivileged()
    }

    fn credential(&self, name: &str) -> Result<Secret, Missing> {
        FakeHost { root: self.root }.credential(name)
    }

    fn secret_file(&self, path: &AbsPath) -> Result<Secret, Missing> {
        FakeHost { root: self.root }.secret_file(path)
    }

    fn examine(&self, tls: &Tls) -> Result<Vec<Finding>, Finding> {
        FakeHost { root: self.root }.examine(tls)
    }

    fn variable(&self, name: &str) -> Option<String> {
        FakeHost { root: self.root }.variable(name)
    }
}

impl Shelf for Stand {
    fn programs(&self, _: &str) -> Vec<String> {
        PROGRAMS.map(str::to_owned).to_vec()
    }
}

const KERNOS: &str = r#"# The settings of Kernos.
MCP_SERVER_HOST=0.0.0.0
MCP_SERVER_PORT=22021
ALLOW_COMMANDS="ls, cat ,git,python3,timeout,ls,rg,cd,run-captured,xargs,./tool,/usr/bin/jq,no way,gone"
ALLOWED_COMMANDS=make,awk,dash,g++
ALLOW_PATTERNS=gr[e]p,python[0-9.]*,(?=x),\[,
KERNOS_API_KEYS=kernos_first_0123456789abcdef,short,kernos_first_0123456789abcdef
LOG_LEVEL=WARNING
KERNOS_LOG_FORMAT=json
KERNOS_ENVIRONMENT=production
MCP_SHELL_DEFAULT_TIMEOUT_SECONDS=60
MCP_SHELL_MAX_TIMEOUT_SECONDS=ten
MCP_SHELL_OUTPUT_LIMIT_BYTES=65536
MCP_SHELL_CHILD_ENV_ALLOWLIST=TZ,HTTP_PROXY,a-b
HTTP_PROXY=http://me:hunter2@proxy.example.com
DATABASE_URL=postgres://me:hunter2@db.example.com
"#;

const KASM: &str = r"KASM_API_URL=https://kasm.example.com
KASM_API_KEY=hunter2-key
KASM_API_SECRET=hunter2-secret
KASM_USER_ID=7e74b81f-4486-469d-b3ad-d8604d78aa2c  # of the admin page
KASM_GROUP_ID=68d557ac-4cac-42cc-a9f3-1c7c853de0f3
MCP_SERVER_PORT=8080
MCP_SERVER_HOST=0.0.0.0
ALLOWED_ROOTS=/home/kasm_user,/workspace,relative
LOG_LEVEL=INFO
LOG_FORMAT=json
RATE_LIMIT_REQUESTS=100
";

fn source(text: &str) -> Source {
    Source { name: "kernos.env".to_owned(), text: text.to_owned() }
}

fn imported(text: &str) -> Imported {
    import(&source(text), &HOST).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// The policy, and beneath it what the person is told.
fn whole(text: &str) -> String {
    let Imported { policy, remarks } = imported(text);
    let remarks = remarks.iter().map(|remark| match remark.place {
        Some(place) => format!("{place}: {}\n", remark.text),
        None => format!("{}\n", remark.text),
    });
    format!("{policy}---\n{}", remarks.collect::<String>())
}

/// The lines that are no comments.
fn bare(text: &str) -> Vec<String> {
    let policy = imported(text).policy;
    policy.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

/// The lines of one table.
fn table(text: &str, name: &str) -> Vec<String> {
    let lines = bare(text).into_iter().skip_while(|line| *line != format!("[{name}]"));
    lines.skip(1).take_while(|line| !line.starts_with('[')).collect()
}

/// What the person is told, with its line.
fn told(text: &str) -> Vec<(usize, String)> {
    let remarks = imported(text).remarks.into_iter();
    remarks.map(|remark| (remark.place.map_or(0, |place| place.line), remark.text)).collect()
}

fn is_sound(policy: &str, root: bool) -> Result<(), String> {
    let source = Source { name: "kernos.toml".to_owned(), text: policy.to_owned() };
    let Compiled { policy, diagnostics } = compile(&source, &FakeHost { root }, TOOLS);
    policy.map(|_| ()).ok_or_else(|| format!("{}\n{}", printed(&diagnostics), source.text))
}

#[test]
fn the_settings_of_kernos_become_a_policy() {
    insta::assert_snapshot!(whole(KERNOS));
}

#[test]
fn the_settings_of_the_kasm_server_become_a_policy() {
    insta::assert_snapshot!(whole(KASM));
}

#[test]
fn both_are_sound_for_root_and_for_others() {
    for text in [KERNOS, KASM, ""] {
        for root in [true, false] {
            is_sound(&imported(text).policy, root).unwrap();
        }
    }
}

#[test]
fn no_secret_of_the_file_is_in_what_is_printed() {
    for text in [KERNOS, KASM] {
        let whole = whole(text);
        for secret in ["hunter2", "kernos_first", "short,"] {
            assert!(!whole.contains(secret), "{secret}");
        }
    }
}

#[test]
fn every_mistake_has_its_place_and_nothing_is_made() {
    let mistakes = import(&source("A=1\nsk-secret\n2=3\n"), &HOST).unwrap_err();
    let places: Vec<Position> = mistakes.iter().map(|Mistake { place, .. }| *place).collect();
    assert_eq!(places, [Position { line: 2, column: 1 }, Position { line: 3, column: 1 }]);
    assert!(mistakes.iter().all(|mistake| !mistake.text.contains("secret")));
}

#[test]
fn an_empty_file_is_what_the_predecessor_was_without_settings() {
    assert_eq!(
        bare(""),
        [
            "[server]",
            "listen = [\"127.0.0.1:22021\"]",
            "user = \"kernos\"",
            "run_as = \"kernos-run\"",
            "sandbox = \"best-effort\"",
            "[environment]",
            "set = { PATH = \"/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\", LANG = \"C.UTF-8\" }",
            "[root.tmp]",
            "path = \"/tmp\"",
            "[limits]",
            "timeout_max = \"300s\"",
            "timeout = \"30s\"",
            "output = 1048576",
            "stdin = \"8MiB\"",
            "concurrent = 8",
            "[profile.default]",
            "tools = [\"shell_execute\"]",
            "commands = []",
            "roots = { tmp = \"rw\" }",
            "[anonymous]",
            "profile = \"default\"",
        ]
    );
}

#[test]
fn it_listens_where_the_predecessor_did_unless_everybody_could_call() {
    let listen = |text: &str| table(text, "server").remove(0);
    for (text, address) in [
        ("MCP_SERVER_PORT=8080", "127.0.0.1:8080"),
        ("KERNOS_PORT=8080\nKERNOS_HOST=127.0.0.2", "127.0.0.2:8080"),
        ("MCP_SERVER_HOST=localhost", "127.0.0.1:22021"),
        ("MCP_SERVER_HOST=[::1]", "[::1]:22021"),
        ("MCP_SERVER_HOST=0.0.0.0", "127.0.0.1:22021"),
        ("MCP_SERVER_HOST=::\nKERNOS_API_KEYS= , ", "127.0.0.1:22021"),
        ("MCP_SERVER_HOST=192.0.2.1\nKERNOS_API_KEYS=k", "192.0.2.1:22021"),
        ("MCP_SERVER_HOST=::\nKERNOS_API_KEYS=k", "[::]:22021"),
        ("MCP_SERVER_HOST=mcp.example.com\nKERNOS_API_KEYS=k", "127.0.0.1:22021"),
        ("MCP_SERVER_PORT=99999", "127.0.0.1:22021"),
    ] {
        assert_eq!(listen(text), format!("listen = [\"{address}\"]"), "{text}");
    }
    let open = told("MCP_SERVER_HOST=0.0.0.0");
    assert!(open[0].0 == 1 && open[0].1.contains("`kernos key new NAME`"), "{open:?}");
    let keyed = told("MCP_SERVER_HOST=0.0.0.0\nKERNOS_API_KEYS=k");
    assert!(keyed[0].0 == 1 && keyed[0].1.contains("TLS"), "{keyed:?}");
}

#[test]
fn users_that_the_host_lacks_are_numbers() {
    let policy = import(&source(""), &Stand { root: true, has_users: false }).unwrap().policy;
    assert!(policy.contains("user = 60901\nrun_as = 60902\n"), "{policy}");
    is_sound(&policy, true).unwrap();
}

#[test]
fn each_key_is_a_digest_named_by_its_place() {
    let text = "KERNOS_API_KEYS=abc, kernos_0123456789ab ,,abc\n";
    let policy = bare(text).into_iter().skip_while(|line| !line.starts_with("[key.")).collect::<Vec<_>>();
    assert_eq!(
        policy,
        [
            "[key.key1]",
            "sha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
            "profile = \"default\"",
            "[key.key2]",
            "sha256 = \"7001935df692e9570d83df01ce2c9e755d9b76ae82edd37fe0511b9ccba470e4\"",
            "profile = \"default\"",
        ]
    );
    let told = told(text);
    assert!(told[0].1.starts_with("Key 1 is shorter than 16 bytes"), "{told:?}");
    assert_eq!(told[1], (1, "Key 3 of KERNOS_API_KEYS is key 1 once more, and left out.".to_owned()));
}

#[test]
fn a_key_that_dotenv_would_have_put_a_value_in_is_told_as_one_that_was_not_meant() {
    let told = told("KERNOS_API_KEYS=${KEY_OF_THE_TEAM_AGENTS}\n");
    assert!(told.iter().any(|(_, text)| text.starts_with("Key 1 holds `${…}` as it stands")), "{told:?}");
}

#[test]
fn limits_are_those_that_the_predecessor_took() {
    let limits = |text: &str| table(text, "limits")[..3].join(" ");
    for (text, expected) in [
        ("", "timeout_max = \"300s\" timeout = \"30s\" output = 1048576"),
        (
            "MCP_SHELL_DEFAULT_TIMEOUT_SECONDS=900\nMCP_SHELL_OUTPUT_LIMIT_BYTES= +1_000 ",
            "timeout_max = \"300s\" timeout = \"300s\" output = 1000",
        ),
        (
            "MCP_SHELL_MAX_TIMEOUT_SECONDS=5\nMCP_SHELL_OUTPUT_LIMIT_BYTES=0",
            "timeout_max = \"5s\" timeout = \"5s\" output = 1048576",
        ),
        (
            "MCP_SHELL_MAX_TIMEOUT_SECONDS=99999999999999999999\nMCP_SHELL_OUTPUT_LIMIT_BYTES=1.5",
            "timeout_max = \"31622400s\" timeout = \"30s\" output = 1048576",
        ),
        ("MCP_SHELL_MAX_TIMEOUT_SECONDS=-5", "timeout_max = \"300s\" timeout = \"30s\" output = 1048576"),
    ] {
        assert_eq!(limits(text), expected, "{text}");
    }
}

#[test]
fn levels_have_the_names_of_kernos() {
    for (text, expected) in [
        ("LOG_LEVEL=debug", "level = \"debug\""),
        ("KERNOS_LOG_LEVEL=Critical", "level = \"error\""),
        ("LOG_LEVEL=loud", "level = \"info\""),
        ("LOG_FORMAT=JSON", "format = \"json\""),
        ("LOG_FORMAT=console", "format = \"auto\""),
    ] {
        assert_eq!(table(text, "log"), [expected], "{text}");
    }
    assert_eq!(table("", "log"), [""; 0]);
}

#[test]
fn names_are_united_and_each_counts_once() {
    let text = "ALLOW_COMMANDS= ls ,,cat\nALLOWED_COMMANDS=cat,rg,ls,rg";
    assert_eq!(table(text, "profile.default")[1..3], ["commands = [", "    \"ls\", \"cat\", \"rg\","]);
    assert_eq!(bare(text).iter().filter(|line| line.starts_with("[command.")).count(), 1);
}

#[test]
fn what_was_refused_is_granted_only_by_name_and_by_a_built_in_rule() {
    let commands = |text: &str| table(text, "profile.default")[2].clone();
    assert_eq!(commands("ALLOW_COMMANDS=python3,perl,/usr/bin/python3,sh"), "    \"python3\",");
    assert_eq!(commands("ALLOW_PATTERNS=python.*,xargs,r[gh]"), "    \"rg\",");
}

#[test]
fn a_file_of_the_kasm_server_gives_no_shell_unless_it_allows_commands() {
    let tools = |text: &str| table(text, "profile.default").remove(0);
    assert_eq!(tools("KASM_API_URL=https://a.example"), "tools = [\"kasm:all\"]");
    assert_eq!(
        tools("KASM_API_URL=https://a.example\nALLOW_COMMANDS=ls"),
        "tools = [\"shell_execute\", \"kasm:all\"]"
    );
    assert_eq!(tools("ALLOWED_ROOTS=/srv"), "tools = [\"shell_execute\"]");
}

#[test]
fn the_table_of_kasm_is_sound_once_its_secrets_are_there() {
    let policy = imported(KASM).policy;
    let (before, commented) = policy.split_once("#\n# [kasm]\n").unwrap();
    let (commented, after) = commented.split_once("\n\n").unwrap();
    let table = commented.replace("\n# ", "\n");
    let table = table.strip_prefix("# ").unwrap();
    is_sound(&format!("{before}[kasm]\n{table}\n\n{after}"), true).unwrap();
    assert!(table.contains("roots = [\"/home/kasm_user\", \"/workspace\"]"), "{table}");
}

#[test]
fn an_address_with_a_password_is_not_copied() {
    for url in ["https://me:hunter2@kasm.example", "https://kasm.example/?t=hunter2", "hunter2"] {
        let whole = whole(&format!("KASM_API_URL={url}"));
        assert!(
            !whole.contains("hunter2") && whole.contains("url = \"https://kasm.example.com\""),
            "{whole}"
        );
    }
}

#[test]
fn the_search_path_is_the_one_that_the_predecessor_used() {
    let path = |text: &str| table(text, "environment")[0].clone();
    let set = |path: &str| format!("set = {{ PATH = \"{path}\", LANG = \"C.UTF-8\" }}");
    assert_eq!(path("PATH=/opt"), set("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"));
    assert_eq!(path("MCP_SHELL_SAFE_PATH=/opt\nPATH=/x"), set("/opt"));
    assert_eq!(path("MCP_SHELL_CHILD_ENV_ALLOWLIST=PATH\nPATH=/opt"), set("/opt"));
}

#[test]
fn a_variable_that_is_handed_on_is_not_set_besides() {
    let policy = imported("MCP_SHELL_CHILD_ENV_ALLOWLIST=LANG,TZ\nALLOW_COMMANDS=ls").policy;
    let lines: Vec<&str> =
        policy.lines().filter(|line| line.starts_with("set =") || line.starts_with("pass =")).collect();
    let set = "set = { PATH = \"/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\" }";
    assert_eq!(lines, [set, "pass = [\"LANG\", \"TZ\"]"]);
}

#[test]
fn unknown_variables_are_told_by_name() {
    let told = told("B=hunter2\nA=\nALLOW_COMMANDS=");
    let (_, text) = told.last().unwrap();
    assert_eq!(text, "These variables of the file are not known, and nothing came of them: A, B.");
}

/// Files that look like settings, and some that do not.
fn files() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "ALLOW_COMMANDS",
        "ALLOWED_COMMANDS",
        "ALLOW_PATTERNS",
        "KERNOS_API_KEYS",
        "MCP_SERVER_HOST",
        "MCP_SERVER_PORT",
        "MCP_SHELL_SAFE_PATH",
        "MCP_SHELL_CHILD_ENV_ALLOWLIST",
        "MCP_SHELL_MAX_TIMEOUT_SECONDS",
        "MCP_SHELL_OUTPUT_LIMIT_BYTES",
        "KASM_API_URL",
        "KASM_USER_ID",
        "KASM_ALLOWED_ROOTS",
        "ALLOWED_ROOTS",
        "LOG_LEVEL",
        "KERNOS_LOG_FORMAT",
        "KERNOS_ENVIRONMENT",
        "PATH",
        "OTHER",
    ]);
    let word = prop_oneof![
        prop::sample::select(vec![
            "ls",
            "xargs",
            "@text",
            "../x",
            "/bin/ls",
            "cd",
            "run-captured",
            ".*",
            "0.0.0.0",
            "::",
            "PATH",
            "0",
            "99999999999",
            "https://a",
            "anonymous",
            "#",
            "\"",
            "'",
            "\\",
            "${A}",
            "]",
            "\u{1b}[31m",
        ])
        .prop_map(str::to_owned),
        "[!-~]{0,8}",
        "[a-z/]{0,90}",
        "\\PC{0,6}",
    ];
    let value = prop::collection::vec(word, 0..6).prop_map(|words| words.join(","));
    let line = prop_oneof![
        9 => (name, value).prop_map(|(name, value)| format!("{name}={value}")),
        1 => "\\PC{0,20}",
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn whatever_the_file_holds_the_policy_is_sound(text in files(), root: bool, has_users: bool) {
        match import(&source(&text), &Stand { root, has_users }) {
            Ok(Imported { policy, .. }) => {
                for root in [true, false] {
                    is_sound(&policy, root).map_err(TestCaseError::fail)?;
                }
            }
            Err(mistakes) => prop_assert!(!mistakes.is_empty()),
        }
    }
}

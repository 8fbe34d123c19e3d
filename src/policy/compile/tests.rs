mod meaning;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::policy::testing::{DEV, FRAME, FakeHost, TOOLS, compiled, policy, printed};
use crate::policy::{Access, DEFAULT, Lapse, Listen, PRESETS, Refused, Severity, Source, compile};
use crate::vocab::Secret;

const EXAMPLE: &str = include_str!("../../../kernos.toml.example");

#[test]
fn every_mistake_is_told_at_once() {
    let text = r#"
[server]
listen = ["0.0.0.0"]
user = "nobody-here"
sandbox = "require"
[limits]
tmeout = "30s"
output = "1 potato"
[root.work]
path = "srv"
[root.gone]
path = "/missing"
[command.cat]
flags = ["n"]
allows = [["cat", "x"]]
[command.timeout]
launches = 1
[command.git]
globals = ["-C=path"]
[profile.dev]
tools = ["shell_exec"]
commands = ["cat", "@txt", "gti"]
roots = { work = "wr" }
[key.alice]
sha256 = "abc"
profile = "dve"
[key.bob]
profile = "dev"
[kasm]
url = "ftp://x"
api_key = "hunter2"
"#;
    insta::assert_snapshot!(printed(&compiled(text).diagnostics));
}

#[test]
fn a_syntax_error_has_its_place() {
    insta::assert_snapshot!(printed(&compiled("[server\nlisten = [\n").diagnostics));
}

#[test]
fn a_bracket_that_is_left_open_is_not_told_once_a_line() {
    let text = format!(
        "[limits]\n[profile.dev]\ncommands = [\"ls\",\n{FRAME}[profile.other]\ntools = [\"shell_execute\"]\n"
    );
    let diagnostics = compiled(&text).diagnostics;
    assert!(diagnostics.len() <= 3, "{}", printed(&diagnostics));
    assert!(diagnostics.iter().any(|one| one.message.starts_with("unclosed")), "{}", printed(&diagnostics));
}

#[test]
fn a_missing_root_is_one_mistake_and_no_failed_example() {
    let text = FRAME.replace("/srv/work", "/missing")
        + "[profile.dev]\n[command.cat]\noperands = \"path\"\nallows = [[\"cat\", \"/missing/x\"]]\n";
    let errors = compiled(&text).diagnostics.into_iter().filter(|one| one.severity == Severity::Error);
    let messages: Vec<_> = errors.map(|one| one.message).collect();
    assert_eq!(messages, ["[root.work]: there is no directory /missing"]);
}

#[test]
fn an_empty_file_says_what_is_missing() {
    insta::assert_snapshot!(printed(&compiled("").diagnostics));
}

fn messages(text: &str) -> Vec<String> {
    compiled(text).diagnostics.into_iter().map(|one| one.message).collect()
}

#[test]
fn one_mistake_is_told_once() {
    let frame = FRAME.replace("best-effort", "bst-effort");
    assert_eq!(
        messages(&format!("{frame}\n{DEV}")),
        ["`server.sandbox` must be one of require, best-effort, off, not `bst-effort`"]
    );
    let no_table = format!("server = 1\n{}", &FRAME[FRAME.find("[root.work]").unwrap()..]);
    assert_eq!(messages(&format!("{no_table}\n{DEV}")), ["`server` must be a table, not an integer"]);
}

#[test]
fn a_root_that_is_not_there_is_told_beside_other_mistakes_and_one_that_is_wrong_only_once() {
    let frame = FRAME.replace("path = \"/tmp\"", "path = \"tmp\"");
    let profile = "[profile.dev]\ntools = [\"shell_execute\"]\ncommands = [\"ls\"]\n";
    assert_eq!(
        messages(&format!("{frame}\n{profile}roots = {{ tmp = \"rw\", tpm = \"ro\" }}\n")),
        ["`root.tmp.path` must be an absolute path: `tmp` does not start with `/`", "there is no [root.tpm]",]
    );
}

#[test]
fn one_place_to_listen_needs_no_list() {
    let frame = FRAME.replace("[server]", "[server]\nlisten = \"systemd\"");
    let policy = policy(&format!("{frame}\n{DEV}"));
    assert_eq!(policy.server().listen, [Listen::Systemd]);
}

#[test]
fn the_default_policy_lacks_only_a_key() {
    for root in [true, false] {
        let source = Source { name: "default".to_owned(), text: DEFAULT.to_owned() };
        let diagnostics = compile(&source, &FakeHost { root }, TOOLS).diagnostics;
        let messages: Vec<_> = diagnostics.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(messages, ["nobody may come: there is no [key.NAME]"]);
    }
    let digest = "1".repeat(64);
    let with_key = format!("{DEFAULT}\n[key.me]\nsha256 = \"{digest}\"\nprofile = \"default\"\n");
    assert_eq!(printed(&compiled(&with_key).diagnostics), "");
}

#[test]
fn the_shipped_example_is_sound() {
    let diagnostics = compiled(EXAMPLE).diagnostics;
    let errors: Vec<_> = diagnostics.iter().filter(|one| one.severity == Severity::Error).cloned().collect();
    assert_eq!(printed(&errors), "");
}

#[test]
fn every_preset_is_sound_when_it_is_written_in_a_file() {
    let rules =
        PRESETS.split_once("\n[command.ls]").map(|(_, rules)| format!("[command.ls]{rules}")).unwrap();
    let text = format!(
        "{FRAME}\n[profile.dev]\ncommands = [\"@kernos-classic\"]\nroots = {{ work = \"rw\" }}\n{rules}"
    );
    let errors: Vec<_> =
        compiled(&text).diagnostics.into_iter().filter(|one| one.severity == Severity::Error).collect();
    assert_eq!(printed(&errors), "");
}

#[test]
fn the_classic_group_holds_the_63_names_of_the_predecessor() {
    let text =
        format!("{FRAME}\n[profile.dev]\ncommands = [\"@kernos-classic\"]\nroots = {{ work = \"rw\" }}\n");
    let policy = policy(&text);
    let grant = policy.access().principal("alice").unwrap().grant();
    let mut names: Vec<_> = grant.rules().map(crate::policy::Rule::name).collect();
    names.sort_unstable();
    let mut expected: Vec<_> = "ls cat head tail grep find wc file stat mkdir touch cp mv rm chmod pwd tree du df sed \
        awk sort uniq cut tr tee curl wget ping nc dig host ps pgrep kill pkill nohup timeout python3 pip node npm npx \
        pnpm git make tar gzip gunzip zip unzip whoami id uname hostname date uptime free which env printenv \
        run-captured jq"
        .split_whitespace()
        .collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn one_wrong_element_hides_no_other_and_makes_no_second_mistake() {
    let text = format!(
        "{FRAME}\n[profile.dev]\ntools = [\"shell_execute\"]\nroots = {{ work = \"ro\" }}\ncommands = [3, \"nosuch\"]\n[command.cat]\nflags = [\"-n\", 4, \"x\"]\n\
         refuses = [[\"cat\", \"-b\"]]\n"
    );
    assert_eq!(
        messages(&text),
        [
            "`profile.dev.commands[0]` must be a string, not an integer",
            "`nosuch` is no rule: there is no [command.nosuch] and no such preset",
            "`command.cat.flags[1]` must be a string, not an integer",
            "`x` is not a flag: write `-x`, `--long`, or one of them with `=` and a kind of value",
        ]
    );
}

#[test]
fn a_launcher_has_few_operands_of_its_own() {
    let rule = "[command.x]\nflags = []\nlaunches = 9223372036854775807\n";
    let expected = "`command.x.launches` must be a number of operands up to 16, or \"NAME=VALUE\"";
    assert!(messages(&format!("{FRAME}{DEV}{rule}")).iter().any(|message| message == expected));
}

#[test]
fn a_variable_has_a_name_wherever_it_is_set() {
    let text = format!(
        "{FRAME}\n[environment]\nset = {{ PATH = \"/bin\", \"A=B\" = \"x\" }}\npass = [\"C=D\"]\n\
         {DEV}[command.ls]\nenvironment = {{ \"\" = \"x\" }}\n"
    );
    let named = |name: &str| format!("`{name}` cannot be the name of a variable");
    assert_eq!(messages(&text), [named("A=B"), named("C=D"), named("")]);
}

#[test]
fn a_timeout_that_another_table_cuts_is_told() {
    let text = format!(
        "{FRAME}\n[limits]\ntimeout_max = \"10m\"\n[command.ls.limits]\ntimeout = \"2h\"\n\
         [command.cat.limits]\ntimeout = \"2h\"\ntimeout_max = \"2h\"\n\
         [profile.dev]\ntools = [\"shell_execute\"]\nroots = {{ work = \"ro\" }}\ncommands = [\"ls\", \"cat\"]\nlimits = {{ timeout = \"1h\" }}\n"
    );
    assert_eq!(
        messages(&text),
        [
            "`ls` in [profile.dev] has a `timeout` of 7200 s and gets 600 s, its `timeout_max`",
            "[profile.dev] has a `timeout` of 3600 s and gets 600 s, its `timeout_max`",
        ]
    );
}

#[test]
fn a_key_may_expire_on_the_last_day_of_all() {
    let expiring = |date: &str| messages(&format!("{FRAME}expires = {date}\n{DEV}"));
    assert_eq!(expiring("9999-12-31"), Vec::<String>::new());
    assert_eq!(expiring("2028-02-29"), Vec::<String>::new());
    assert_eq!(expiring("2027-06-30T12:00:00+02:00"), Vec::<String>::new());
}

#[test]
fn a_key_that_has_expired_is_told() {
    let text = format!(
        "{FRAME}expires = 2026-12-30\n{DEV}[key.bob]\nsha256 = \"{}\"\nprofile = \"dev\"\n\
         expires = 2027-01-01\n[key.bob.previous]\nsha256 = \"{}\"\nuntil = 2027-01-01T01:00:00+01:00\n",
        "2".repeat(64),
        "3".repeat(64)
    );
    insta::assert_snapshot!(printed(&compiled(&text).diagnostics));
}

#[test]
fn a_network_that_could_be_an_address_or_would_let_in_nobody_is_a_mistake() {
    let frame =
        FRAME.replace("[server]", "[server]\nproxies = [\"192.0.2.7/24\", \"192.0.2.7\", \"192.0.2.0/24\"]");
    let from = "from = [\"10.0.0.5/8\", \"2001:db8::1/32\", \"::1\", \"0.0.0.0/0\", \"::ffff:10.0.0.0/104\", \"::ffff:10.0.0.5\"]";
    insta::assert_snapshot!(printed(&compiled(&format!("{frame}{from}\n{DEV}")).diagnostics));
}

#[test]
fn a_number_that_is_too_small_is_not_called_an_integer_that_is_none() {
    let rule = "[command.x]\nflags = []\nlaunches = -1\n";
    assert!(
        messages(&format!("{FRAME}{DEV}{rule}"))
            .contains(&"`command.x.launches` must be a whole number from 0".to_owned())
    );
}

#[test]
fn a_relative_path_is_no_program() {
    let rule = "[command.x]\nprogram = \"bin/x\"\n";
    assert_eq!(
        messages(&format!("{FRAME}{DEV}{rule}")),
        ["`bin/x` is neither the name of a program nor an absolute path"]
    );
}

#[test]
fn an_example_is_a_call_of_its_rule() {
    let rule = "[command.cat]\nallows = [[], [\"ls\"]]\nrefuses = [[\"ls\"]]\n";
    assert_eq!(messages(&format!("{FRAME}{DEV}{rule}")), ["this example is not a call of `cat`"; 3]);
}

#[test]
fn an_example_that_does_not_hold_is_an_error() {
    let rule = "[command.cat]\noperands = \"path\"\nflags = [\"-n\"]\n\
        allows = [[\"cat\", \"-Z\"]]\nrefuses = [[\"cat\", \"notes.txt\"], [\"cat\", \"/etc/shadow\"]]\n";
    insta::assert_snapshot!(printed(&compiled(&format!("{FRAME}{DEV}{rule}")).diagnostics));
}

#[test]
fn what_is_not_enforced_is_told_where_it_is_written() {
    let rule = "[profile.dev]\ntools = [\"kasm:read\"]\nmay = [\"jobs\"]\n[limits]\nmemory = \"1GiB\"\n\
        [command.make]\nspawns = [\"cc\"]\nhelpers = [\"/bin/sh\"]\nnetwork = [\"tcp:443\", \"dns\"]\n";
    insta::assert_snapshot!(printed(&compiled(&format!("{FRAME}{rule}")).diagnostics));
}

#[test]
fn root_needs_two_users_and_anybody_else_none() {
    let text = "[server]\nsandbox = \"off\"\n[anonymous]\nprofile = \"p\"\n[profile.p]\n";
    let source = Source { name: "kernos.toml".to_owned(), text: text.to_owned() };
    assert!(compile(&source, &FakeHost { root: true }, TOOLS).policy.is_none());
    let unprivileged = compile(&source, &FakeHost { root: false }, TOOLS).policy.unwrap();
    assert!(unprivileged.gaps().iter().any(|gap| gap.code == "users"));
}

fn access(keys: &str) -> Access {
    policy(&format!("{FRAME}[profile.dev]\n{keys}")).access().clone()
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn who(access: &Access, key: Option<&str>, from: &str, forwarded: bool, at: u64) -> Result<String, Refused> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
    let principal = access.identify(key.map(Secret::new).as_ref(), from.parse().unwrap(), forwarded, now);
    principal.map(|principal| principal.name().to_owned())
}

#[test]
fn a_key_is_known_by_its_digest_its_age_and_its_source() {
    let digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let old = "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9";
    let access = access(&format!(
        "[key.foo]\nsha256 = \"{digest}\"\nprevious = {{ sha256 = \"{old}\", until = 2030-01-01 }}\n\
        profile = \"dev\"\nexpires = 2031-01-01\nfrom = [\"10.0.0.0/8\"]\n[key.ci]\ncredential = \"ci-key\"\nprofile = \"dev\"\n"
    ));
    let (in_2029, in_2030, in_2032) = (1_861_920_000, 1_893_542_400, 1_956_528_000);
    assert_eq!(who(&access, Some("foo"), "10.1.2.3", false, in_2029), Ok("foo".to_owned()));
    assert_eq!(who(&access, Some("foo"), "::ffff:10.1.2.3", false, in_2029), Ok("foo".to_owned()));
    assert_eq!(who(&access, Some("bar"), "10.1.2.3", false, in_2029), Ok("foo".to_owned()));
    assert_eq!(
        who(&access, Some("bar"), "10.1.2.3", false, in_2030),
        Err(Refused::Expired("foo".to_owned()))
    );
    assert_eq!(
        who(&access, Some("foo"), "10.1.2.3", false, in_2032),
        Err(Refused::Expired("foo".to_owned()))
    );
    assert_eq!(
        who(&access, Some("foo"), "11.1.2.3", false, in_2029),
        Err(Refused::Elsewhere("foo".to_owned()))
    );
    assert_eq!(who(&access, Some("baz"), "10.1.2.3", false, in_2029), Err(Refused::Unknown));
    assert_eq!(who(&access, Some("kernos_credential_ci-key"), "::1", false, in_2029), Ok("ci".to_owned()));
    assert_eq!(access.identify(None, HERE, false, SystemTime::now()).unwrap_err(), Refused::NoKey);
}

#[test]
fn whoever_was_let_in_is_judged_again_by_the_policy_of_the_moment() {
    let foo = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let bar = "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9";
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_861_920_000);
    let key = |name: &str, digest: &str, more: &str| {
        access(&format!("[key.{name}]\nsha256 = \"{digest}\"\nprofile = \"dev\"\n{more}"))
    };
    let admitted = key("foo", foo, "").identify(Some(&Secret::new("foo")), HERE, false, start).unwrap();
    let again = |access: &Access| access.reaffirm(&admitted, HERE, start);
    assert_eq!(again(&key("foo", foo, "expires = 2031-01-01\nfrom = [\"127.0.0.0/8\"]\n")), Ok(()));
    let rotated = format!("previous = {{ sha256 = \"{foo}\", until = 2030-01-01 }}\n");
    assert_eq!(again(&key("foo", bar, &rotated)), Ok(()));
    assert_eq!(again(&key("foo", bar, &rotated.replace("2030", "2028"))), Err(Lapse::Expired));
    assert_eq!(again(&key("foo", bar, "")), Err(Lapse::Removed));
    assert_eq!(again(&key("other", foo, "")), Err(Lapse::Removed));
    assert_eq!(again(&key("foo", foo, "expires = 2028-01-01\n")), Err(Lapse::Expired));
    assert_eq!(again(&key("foo", foo, "from = [\"10.0.0.0/8\"]\n")), Err(Lapse::Elsewhere));
    let open = access("[anonymous]\nprofile = \"dev\"\n");
    assert_eq!(again(&open), Err(Lapse::Removed));
    let anybody = open.identify(None, HERE, false, start).unwrap();
    assert_eq!(open.reaffirm(&anybody, HERE, start), Ok(()));
    assert_eq!(key("foo", foo, "").reaffirm(&anybody, HERE, start), Err(Lapse::Removed));
}

#[test]
fn open_access_is_for_this_host_unless_it_is_written_otherwise() {
    let local = access("[anonymous]\nprofile = \"dev\"\n");
    assert_eq!(who(&local, None, "127.0.0.1", false, 0), Ok("anonymous".to_owned()));
    assert_eq!(who(&local, None, "127.0.0.1", true, 0), Err(Refused::Forwarded));
    assert_eq!(who(&local, None, "192.0.2.1", false, 0), Err(Refused::Remote));
    assert_eq!(who(&local, Some("wrong"), "127.0.0.1", false, 0), Err(Refused::Unknown));
    let remote = access("[anonymous]\nprofile = \"dev\"\nremote = true\n");
    assert_eq!(who(&remote, None, "192.0.2.1", false, 0), Ok("anonymous".to_owned()));
    assert_eq!(who(&remote, None, "192.0.2.1", true, 0), Err(Refused::Forwarded));
}

#[test]
fn open_access_on_a_public_address_is_an_error() {
    let text = FRAME.replace("[server]", "[server]\nlisten = [\"0.0.0.0:22021\"]");
    let mut found = compiled(&format!("{text}{DEV}[anonymous]\nprofile = \"dev\"\n")).diagnostics;
    found.retain(|one| one.severity == Severity::Error);
    let messages: Vec<_> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, ["open access on an address that others can reach"]);
}

#[test]
fn an_address_that_others_can_reach_is_in_the_clear_without_tls() {
    let text = FRAME.replace("[server]", "[server]\nlisten = [\"192.0.2.1:443\", \"127.0.0.1:22021\"]");
    assert_eq!(
        messages(&format!("{text}{DEV}")),
        ["keys and answers cross the network in the clear at this address"]
    );
}

fn said_of_tls(certificate: &str, key: &str) -> Vec<String> {
    let tls =
        format!("[server]\nlisten = [\"192.0.2.1:443\"]\ntls = {{ certificate = \"{certificate}\"{key} }}");
    let text = FRAME.replace("[server]", &tls);
    let diagnostics = compiled(&format!("{text}{DEV}")).diagnostics;
    diagnostics.into_iter().map(|one| format!("{}: {}", one.column, one.message)).collect()
}

#[test]
fn a_certificate_and_its_key_are_tried_and_told_where_they_stand() {
    assert_eq!(said_of_tls("/cert", ", key = \"/key\""), [""; 0], "nor is anything in the clear");
    assert_eq!(said_of_tls("/expired", ", key = \"/key\""), ["23: `server.tls.certificate`: it has expired"]);
    assert_eq!(
        said_of_tls("/expired", ", key = \"/other-key\""),
        ["41: `server.tls.key`: it is the key of another certificate"]
    );
    assert_eq!(
        said_of_tls("/missing", ", key = \"/missing\""),
        [
            "23: `server.tls.certificate`: /missing: there is no such file",
            "41: `server.tls.key`: /missing: there is no such file",
        ]
    );
    assert_eq!(said_of_tls("/cert", ""), ["1: [server.tls] has no `key`"]);
    assert_eq!(said_of_tls("/cert", ", keys = \"/key\"")[1..], ["32: unknown key `keys` in [server.tls]"]);
}

#[test]
fn two_keys_are_never_the_same() {
    let same = "[key.bob]\nprofile = \"dev\"\n\
        sha256 = \"0000000000000000000000000000000000000000000000000000000000000001\"\n";
    let messages: Vec<_> =
        compiled(&format!("{FRAME}{DEV}{same}")).diagnostics.into_iter().map(|one| one.message).collect();
    assert_eq!(messages, ["[key.bob] has the same key as [key.alice]"]);
}

#[test]
fn every_key_of_the_reference_is_known_and_every_known_key_is_in_it() {
    let reference = include_str!("../../../docs/policy.md");
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows = rows.filter(|row| row.starts_with(|c: char| c.is_ascii_lowercase()));
    let explained: std::collections::BTreeSet<String> = rows.map(str::to_owned).collect();
    let mut known = super::keys();
    // Of the limits of commands and profiles the reference says that their keys are those of [limits].
    known.retain(|key| !key.contains(".limits."));
    let missing: Vec<_> = known.difference(&explained).collect();
    let invented: Vec<_> = explained.difference(&known).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "not explained: {missing:?}; explained and unknown: {invented:?}"
    );
}

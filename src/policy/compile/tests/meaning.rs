//! Policies that would mean more than they say, or nothing: neither is sound.

use super::{DEV, FRAME, compiled, policy, printed};

#[test]
fn a_list_that_is_empty_is_not_taken_for_one_that_was_left_out() {
    let frame = FRAME.replace("[server]", "[server]\nlisten = []");
    let text = format!("{frame}from = []\n{DEV}[command.git]\nsub = {{}}\n");
    insta::assert_snapshot!(printed(&compiled(&text).diagnostics));
}

#[test]
fn an_empty_key_lets_nobody_in() {
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let text = format!(
        "{FRAME}{DEV}[key.bob]\nsha256 = \"{nothing}\"\nprofile = \"dev\"\n\
         [key.eve]\nsha256 = \"{}\"\nprofile = \"dev\"\nprevious = {{ sha256 = \"{nothing}\", until = 2030-01-01 }}\n",
        "2".repeat(64)
    );
    insta::assert_snapshot!(printed(&compiled(&text).diagnostics));
}

#[test]
fn proxies_that_are_strangers_are_told() {
    let proxies = "proxies = [\"0.0.0.0/0\", \"::/0\", \"0.0.0.0/1\", \"10.0.0.0/7\", \"2000::/3\", \
        \"10.0.0.0/8\", \"fc00::/7\", \"192.0.2.7\"]";
    let frame = FRAME.replace("[server]", &format!("[server]\n{proxies}"));
    insta::assert_snapshot!(printed(&compiled(&format!("{frame}{DEV}")).diagnostics));
}

#[test]
fn hosts_and_origins_that_no_request_can_have_are_mistakes() {
    let lists = "hosts = [\"https://k.example.com\", \"k.example.com:1/mcp\", \"*.x.com\", \"\", \"a b\", \"[::1]x\"]\n\
        origins = [\"*\", \"null\", \"example.com\", \"https://*.x.com\", \"https://x.com:443\", \"https://x.com/a\", \"x://\"]";
    let frame = FRAME.replace("[server]", &format!("[server]\n{lists}"));
    insta::assert_snapshot!(printed(&compiled(&format!("{frame}{DEV}")).diagnostics));
}

#[test]
fn hosts_and_origins_are_read_as_requests_have_them() {
    let lists = "hosts = [\"K.example.com.\", \"x_1:8080\", \"fd00:0::7\", \"[fd00::8]:1\", \"192.0.2.1\"]\n\
        origins = [\"https://App.example.com/\", \"http://x.com:443\", \"app+1://[::1]:7\"]";
    let frame = FRAME.replace("[server]", &format!("[server]\n{lists}"));
    let policy = policy(&format!("{frame}{DEV}"));
    assert_eq!(policy.server().hosts, ["k.example.com", "x_1", "fd00::7", "fd00::8", "192.0.2.1"]);
    assert_eq!(policy.server().origins, ["https://app.example.com", "http://x.com:443", "app+1://[::1]:7"]);
}

#[test]
fn variables_that_leave_commands_without_programs_or_with_anybodys_are_told() {
    let text = |environment: &str| format!("{FRAME}{DEV}{environment}");
    let printed = |environment: &str| printed(&compiled(&text(environment)).diagnostics);
    insta::assert_snapshot!(
        [
            "[environment]\nset = { EDITOR = \"ed\" }\n",
            "[environment]\nset = { PATH = \"/usr/bin:bin:/bin\" }\n",
            "[environment]\nset = { PATH = \"/usr/bin:\" }\n[command.ls]\nenvironment = { PATH = \".\" }\n",
        ]
        .map(printed)
        .concat()
    );
    assert_eq!(printed("[environment]\numask = \"077\"\n"), "");
}

#[test]
fn kinds_are_not_joined() {
    let text = format!(
        "{FRAME}{DEV}[command.a]\noperands = \"int|path\"\nflags = [\"-n=text|secret\"]\n\
         [command.b]\noperands = \"all|path\"\nflags = [\"--type=bool|int\", \"--format=text|json\"]\n"
    );
    insta::assert_snapshot!(printed(&compiled(&text).diagnostics));
}

fn of_profile(profile: &str) -> String {
    printed(&compiled(&format!("{FRAME}[profile.dev]\n{profile}")).diagnostics)
}

#[test]
fn a_profile_that_can_do_nothing_is_told() {
    let can = "tools = [\"shell_execute\"]\nroots = { work = \"ro\" }\n";
    let empty = "tools = [\"shell_execute\"]\ncommands = []\nroots = {}\n";
    insta::assert_snapshot!(["", "tools = []\n", can, empty].map(of_profile).concat());
}

#[test]
fn what_is_written_and_wrong_is_not_taken_for_missing() {
    let wrong = "tools = [\"shell_execute\"]\ncommands = [\"@nosuch\"]\n";
    let roots = ["roots = { work = \"r\" }", "roots = [\"work\"]"];
    let told = roots.map(|roots| of_profile(&format!("{wrong}{roots}\n"))).concat();
    insta::assert_snapshot!(format!("{told}{}", of_profile("tools = [\"nosuch\"]\n")));
}

#[test]
fn a_command_that_is_no_rule_is_told_how_to_become_one() {
    let commands =
        "[\"echo\", \"seq\", \"gti\", \"g++x\", \"/usr/bin/cat\", \"/opt/jqx\", \"cat -n\", \"[\", \"\"]";
    insta::assert_snapshot!(of_profile(&format!(
        "tools = [\"shell_execute\"]\nroots = {{ work = \"ro\" }}\ncommands = {commands}\n"
    )));
}

#[test]
fn what_is_there_twice_is_told_once_and_with_the_first_place() {
    let text = "[key.alice]\nsha256 = \"1\"\nprofile = \"dev\"\n[log]\n[key.alice]\nsha256 = \"2\"\nprofile = \"dev\"\n\
        expires = 2030-01-01\n[log]\n[server]\nuser = \"a\"\nuser = \"b\"\nx = { y = 1, y = 2 }\n[[server]]\n";
    insta::assert_snapshot!(printed(&compiled(text).diagnostics));
}

#[test]
fn text_without_quotes_is_told_as_that() {
    let text = "[log]\nlevel = info\nrequired = yes # not no\nformat =\n[server]\nlisten = 127.0.0.1:2\n\
        [limits]\ntimeout = 30s\n[kasm]\napi_key = hunter2\n[root.work]\npath = /srv\n[command.a]\nflags = [a, b]\n";
    insta::assert_snapshot!(printed(&compiled(text).diagnostics));
}

#[test]
fn an_amount_is_one_number_and_one_unit() {
    let text = "[limits]\ntimeout = \"1h30m\"\ntimeout_max = \"0.5s\"\noutput = \"1.5MiB\"\nstdin = \"MiB\"\n\
        output_total = \"99999999999999999999B\"\nfile_size = \"1MBit\"\n[profile.p.limits]\ntimeout = \"2days\"\n";
    insta::assert_snapshot!(printed(&compiled(&format!("{FRAME}{DEV}{text}")).diagnostics));
}

#[test]
fn a_mistake_comes_with_what_was_meant() {
    let frame = FRAME.replace(
        "[server]",
        "[log]\nlevel = \"warning\"\n[server]\nlisten = [\"::1:23021\", \"localhost:1\", \"::1\", \"x:1\"]",
    );
    let text = format!(
        "{frame}[key.bob]\ncredential = \"ci-key\"\nprofile = [\"dev\"]\n{DEV}[command.a]\n\
         allows = [\"a\", \"b\"]\nrefuses = \"a b\"\nnetwork = [\"tcp:99999\", \"udp:53\"]\n"
    );
    insta::assert_snapshot!(printed(&compiled(&text).diagnostics));
}

use super::HIDDEN;
use crate::policy::Request;
use crate::policy::testing::{FRAME, policy};

const RULES: &str = r#"
[command.mysql]
flags = ["-p=secret", "--password=secret", "-e=text", "-v"]
[command.login]
flags = ["-n=int"]
operands = "secret"
[command.vault]
globals = ["-address=text"]
[command.vault.sub.login]
flags = ["--token=secret"]
[command.vault-read]
name = "vault"
[command.vault-read.sub.read]
flags = ["-x"]
[command.timeout]
flags = []
launches = 1
[command.echo]
[profile.dev]
tools = ["shell_execute"]
commands = ["mysql", "login", "vault", "vault-read", "timeout", "echo"]
roots = { work = "rw" }
"#;

fn shown(words: &[&str], allowed: bool) -> Vec<String> {
    let policy = policy(&format!("{FRAME}{RULES}"));
    let grant = policy.access().principal("alice").unwrap().grant().clone();
    grant.shown_line(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(), allowed)
}

#[test]
fn a_secret_is_hidden_in_every_form_of_its_flag_and_nothing_else_is() {
    for (words, expected) in [
        (
            &["mysql", "-v", "--password=x", "-e", "y"][..],
            &["mysql", "-v", "--password=[secret]", "-e", "y"][..],
        ),
        (&["mysql", "--password", "x", "y"], &["mysql", "--password", "[secret]", "y"]),
        (&["mysql", "-px", "db"], &["mysql", "-p[secret]", "db"]),
        (&["mysql", "-vpx"], &["mysql", "-vp[secret]"]),
        (&["mysql", "-p", "x", "-ex"], &["mysql", "-p", "[secret]", "-ex"]),
        (&["mysql", "--password="], &["mysql", "--password="]),
        (&["login", "-n", "5", "x"], &["login", "-n", "5", "[secret]"]),
        (&["login", "x", ">", "file", "2>&1"], &["login", "[secret]", ">", "file", "2>&1"]),
        (&["vault", "login", "--token=x"], &["vault", "login", "--token=[secret]"]),
        (&["vault", "read", "-x", "y"], &["vault", "read", "-x", "y"]),
        (&["echo", "--password=x"], &["echo", "--password=x"]),
    ] {
        assert_eq!(shown(words, true), expected, "{words:?}");
    }
}

#[test]
fn each_command_of_a_line_is_looked_into_and_what_is_launched_too() {
    assert_eq!(
        shown(&["echo", "a", "|", "timeout", "5", "mysql", "-px", "&&", "login", "y"], true),
        ["echo", "a", "|", "timeout", "5", "mysql", "-p[secret]", "&&", "login", "[secret]"]
    );
}

proptest::proptest! {
    #[test]
    fn no_line_shows_the_value_of_a_secret_flag(
        before in proptest::collection::vec("mysql|-v|-é|-pé|--bad|x|\\||;|>|é", 0..6),
        after in proptest::collection::vec("mysql|-v|-é|--bad=é|vault|login|x|\\||>", 0..6),
    ) {
        let words = ["mysql", "-v", "--password=MARK"].map(str::to_owned);
        let line: Vec<String> = before.into_iter().chain(["|".to_owned()]).chain(words).chain(after).collect();
        for allowed in [true, false] {
            let shown = shown(&line.iter().map(String::as_str).collect::<Vec<_>>(), allowed);
            proptest::prop_assert!(shown.len() == line.len() && !shown.concat().contains("MARK"), "{shown:?}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_refused_line_shows_it_however_it_was_written(
        before in "((sh -c |env A=b |echo é; |[ \t\"'(]){0,3})(/usr/bin/|\\./)?",
        between in "[ \t\n]{1,2}",
        pieces in proptest::collection::vec(proptest::bool::ANY, 3),
        others in proptest::collection::vec("sh|-c|x|é|mysql", 0..3),
    ) {
        // The same line, cut into words at some of its blanks.
        let line = ["mysql", "-v", "--password=MARK", "-px"].map(str::to_owned);
        let mut words = others;
        words.push(before + &line[0]);
        for (word, cut) in line[1..].iter().zip(pieces) {
            if cut {
                words.push(word.clone());
            } else {
                let last = words.pop().unwrap_or_default();
                words.push(last + &between + word);
            }
        }
        let shown = shown(&words.iter().map(String::as_str).collect::<Vec<_>>(), false);
        proptest::prop_assert!(shown.len() == words.len() && !shown.concat().contains("MARK"), "{words:?} {shown:?}");
    }
}

#[test]
fn more_names_than_launchers_may_stand_before_a_command_cost_no_time() {
    let mut words = vec!["mysql"; 100_000];
    words.push("-px");
    let shown = shown(&words, false);
    assert_eq!((shown[0].as_str(), shown.last().unwrap().as_str()), ("mysql", HIDDEN));
}

#[test]
fn a_denial_quotes_no_word_that_another_rule_for_its_name_calls_secret() {
    let rules = RULES
        .replace(
            "[command.login]",
            "[command.mysql-port]\nname = \"mysql\"\nflags = [\"-p=int\", \"-x\"]\n[command.login]",
        )
        .replace("\"echo\"]", "\"echo\", \"mysql-port\"]");
    let policy = policy(&format!("{FRAME}{rules}"));
    let grant = policy.access().principal("alice").unwrap().grant().tool("shell_execute").unwrap();
    let denial = |words: &[&str]| {
        let line = crate::command::parse(words.iter().map(|&word| word.to_owned()).collect()).unwrap();
        grant.plan(&Request { line, directory: None, timeout: None }).unwrap_err().to_string()
    };
    let told = denial(&["mysql", "-x", "-p", "hunter2"]);
    assert!(told.starts_with("command[3]: `[secret]` is not an integer"), "{told}");
    let told = denial(&["mysql", "-p", "hunter2", "|", "rm"]);
    assert!(told.starts_with("command[4]: `rm` is not a command"), "{told}");
    for words in [&["login hunter2"][..], &["echo", ";", "/bin/login hunter2"], &["sh -c 'login hunter2'"]] {
        let told = denial(words);
        assert!(told.contains("login [secret]` is not a command") && !told.contains("hunter2"), "{told}");
    }
    let told = denial(&["vault", "hunter2"]);
    assert!(told.starts_with("command[1]: `[secret]` is not a listed subcommand"), "{told}");
    let told = denial(&["login", "-n", "hunter2"]);
    assert!(told.starts_with("command[2]: `hunter2` is not an integer"), "no rule calls it secret: {told}");
}

#[test]
fn a_program_that_is_called_by_its_path_is_the_same_program() {
    for (words, expected) in [
        (&["/usr/bin/mysql", "-px", "db"][..], &["/usr/bin/mysql", "-p[secret]", "db"][..]),
        (&["echo", "bin/login", "x"], &["echo", "bin/login", "[secret]"]),
        (
            &["env", "A=b", "/opt/vault", "login", "--token=x"],
            &["env", "A=b", "/opt/vault", "login", "--token=[secret]"],
        ),
    ] {
        for allowed in [true, false] {
            assert_eq!(shown(words, allowed), expected, "{words:?}");
        }
    }
    let rules = RULES.replace("[command.login]", "[command.login]\nname = \"/opt/login\"");
    let policy = policy(&format!("{FRAME}{rules}"));
    let grant = policy.access().principal("alice").unwrap().grant().clone();
    assert_eq!(grant.shown_line(&["login", "x"].map(str::to_owned), false), ["login", "[secret]"]);
}

#[test]
fn a_line_that_is_written_as_one_word_is_hidden_from_the_name_on() {
    for (words, expected) in [
        (&["mysql -px"][..], &["mysql [secret]"][..]),
        (&["  mysql", "-px", "db"], &["  mysql", "-p[secret]", "db"]),
        (&["mysql\t", "-px", "db"], &["mysql\t", "-p[secret]", "db"]),
        (&["env A=b mysql --password x"], &["env A=b mysql [secret]"]),
        (&["sh", "-c", "cd /; /usr/bin/mysql -px"], &["sh", "-c", "cd /; /usr/bin/mysql [secret]"]),
        (&["sh", "-c", "mysql --password", "x"], &["sh", "-c", "mysql [secret]", "[secret]"]),
        (&["bash", "-c", "'mysql", "-px", "y'"], &["bash", "-c", "'mysql", "-p[secret]", "y'"]),
        (&["echo", "a", "|", "mysql -px", "|", "wc"], &["echo", "a", "|", "mysql [secret]", "|", "wc"]),
        (&["echo a | login x"], &["echo a | login [secret]"]),
    ] {
        assert_eq!(shown(words, false), expected, "{words:?}");
    }
}

#[test]
fn an_ordinary_refusal_is_on_record_whole() {
    for words in [
        &["rm", "-rf", "/srv/mysql/data", "x"][..],
        &["cat", "/etc/mysql/my.cnf", "/etc/shadow"],
        &["cat", "mysql.cnf", "login-notes", "x"],
        &["apt-get install postgresql", "x"],
        &["sh", "-c", "cat relogin; id"],
        &["--mysql", "x"],
    ] {
        assert_eq!(shown(words, false), words, "{words:?}");
    }
}

#[test]
fn what_is_allowed_was_read_and_its_words_are_data() {
    let words = ["echo", "mysql -px"];
    assert_eq!(shown(&words, true), words);
}

#[test]
fn in_what_is_refused_all_that_may_be_a_secret_is_hidden() {
    for (words, expected) in [
        (&["mysql", "--pasword=x", "y"][..], &["mysql", "--pasword=[secret]", "[secret]"][..]),
        (&["mysql", "-Px"], &["mysql", "-P[secret]"]),
        (&["mysql", "-px", "--bad", "y"], &["mysql", "-p[secret]", "--bad", "[secret]"]),
        (&["sudo", "mysql", "-px"], &["sudo", "mysql", "-p[secret]"]),
        (&["mysql", "-px", "|"], &["mysql", "-p[secret]", "|"]),
        (&["vault", "logn", "--token=x"], &["vault", "[secret]", "[secret]"]),
        (&["mysql", "--password"], &["mysql", "--password"]),
        (&["vault", "read", "x"], &["vault", "[secret]", "[secret]"]),
    ] {
        assert_eq!(shown(words, false), expected, "{words:?}");
    }
}

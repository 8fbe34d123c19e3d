//! A command line as others may see it: what a rule calls `secret` is hidden.
//!
//! For the record and for displays; programs get the words themselves. A call that is refused need not be one that
//! any rule could read, so rather too much is hidden than too little: behind a word that a rule with secrets does
//! not know, everything.

use super::grant::{Grant, LAUNCHERS_MAX};
use super::rule::{Kind, Rule, Value};
use crate::command::{Connector, RedirectionKind, Word};

/// What is shown in the place of a secret.
pub(super) const HIDDEN: &str = "[secret]";

impl Grant {
    /// The words of a whole line as they were sent, operators included. `allowed`: it was judged, and may run.
    pub fn shown_line(&self, words: &[String], allowed: bool) -> Vec<String> {
        let secretive = self.secretive();
        let mut veil = Veil::over(words);
        for command in commands(words).into_iter().filter(|_| !secretive.is_empty()) {
            self.hide(&secretive, &command, allowed, &mut veil);
        }
        veil.shown()
    }

    /// The words of one command that may run, the name of its program first.
    pub fn shown(&self, argv: &[String]) -> Vec<String> {
        let mut veil = Veil::over(argv);
        self.hide(&self.secretive(), &(0..argv.len()).collect::<Vec<_>>(), true, &mut veil);
        veil.shown()
    }

    /// Whether the word at this index of the line may be a secret in a command that is refused.
    pub(super) fn may_be_secret(&self, argv: &[Word], at: usize) -> bool {
        let words: Vec<String> = argv.iter().map(|word| word.text().to_owned()).collect();
        let mut veil = Veil::over(&words);
        self.hide(&self.secretive(), &(0..argv.len()).collect::<Vec<_>>(), false, &mut veil);
        argv.iter().zip(veil.hidden).any(|(word, hidden)| word.at() == at && hidden.is_some())
    }

    /// The names that rules with secrets are for.
    fn secretive(&self) -> Vec<&str> {
        self.rules().filter(|rule| has_secrets(rule)).map(|rule| rule.name.as_str()).collect()
    }

    /// Hides what is secret in one command, given by the indices of its words.
    ///
    /// A rule counts wherever its name stands: behind a launcher, or behind something that is not allowed at all.
    fn hide(&self, secretive: &[&str], command: &[usize], allowed: bool, veil: &mut Veil<'_>) {
        let is_named = |first: &usize| secretive.contains(&veil.words[command[*first]].as_str());
        let begins: Vec<usize> = (0..command.len()).filter(is_named).take(LAUNCHERS_MAX + 2).collect();
        for (nth, first) in begins.into_iter().enumerate() {
            if nth > LAUNCHERS_MAX {
                command[first..].iter().for_each(|&index| veil.hide(index, 0));
                return;
            }
            self.hide_from(&command[first..], allowed, veil);
        }
    }

    fn hide_from(&self, command: &[usize], allowed: bool, veil: &mut Veil<'_>) {
        let argv: Vec<Word> = Word::plain(command.iter().map(|&index| veil.words[index].clone()));
        let rules = self.rules().filter(|rule| rule.name == argv[0].text());
        let readings: Vec<Reading> = rules.map(|rule| Reading::of(rule, &argv)).collect();
        // What may run was read whole by one of the rules, and a rule that cannot read it has no say.
        let is_readable = allowed && readings.iter().any(|reading| reading.unknown.is_none());
        for reading in readings.iter().filter(|one| !is_readable || one.unknown.is_none()) {
            reading.secrets.iter().for_each(|&(at, from)| veil.hide(command[at], from));
            if let Some(unknown) = reading.unknown.filter(|_| reading.has_secrets) {
                veil.hide(command[unknown], value_of_unknown(argv[unknown].text()));
                command[unknown + 1..].iter().for_each(|&index| veil.hide(index, 0));
            }
        }
    }
}

/// What a rule makes of a command.
struct Reading {
    /// Whether it knows any secret at all.
    has_secrets: bool,
    /// Indices of words, and where in them the secret begins.
    secrets: Vec<(usize, usize)>,
    /// The word that it could not read.
    unknown: Option<usize>,
}

impl Reading {
    fn of(rule: &Rule, argv: &[Word]) -> Self {
        let mut secrets = Vec::new();
        let read = rule.read(argv, &mut |Value { kind, word, text }| {
            if *kind == Kind::Secret {
                secrets.push((word.at(), word.text().len() - text.len()));
            }
            Ok(())
        });
        Self { has_secrets: has_secrets(rule), secrets, unknown: read.err().map(|objection| objection.at) }
    }
}

/// Words, and from where on each is hidden.
struct Veil<'w> {
    words: &'w [String],
    hidden: Vec<Option<usize>>,
}

impl<'w> Veil<'w> {
    fn over(words: &'w [String]) -> Self {
        Self { words, hidden: vec![None; words.len()] }
    }

    fn hide(&mut self, index: usize, from: usize) {
        let from = self.hidden[index].map_or(from, |before| before.min(from));
        self.hidden[index] = (from < self.words[index].len() || from == 0).then_some(from);
    }

    fn shown(&self) -> Vec<String> {
        let shown = |(word, hidden): (&String, &Option<usize>)| match hidden {
            Some(from) => format!("{}{HIDDEN}", &word[..*from]),
            None => word.clone(),
        };
        self.words.iter().zip(&self.hidden).map(shown).collect()
    }
}

/// The indices of each command's words, without operators, redirections and their files.
fn commands(words: &[String]) -> Vec<Vec<usize>> {
    let mut commands = vec![Vec::new()];
    let mut indices = 0..words.len();
    while let Some(index) = indices.next() {
        let word = words[index].as_str();
        let redirection = RedirectionKind::ALL.into_iter().find(|kind| kind.symbol() == word);
        if word == "|" || Connector::ALL.iter().any(|connector| connector.symbol() == word) {
            commands.push(Vec::new());
        } else if let Some(kind) = redirection {
            if kind != RedirectionKind::ErrorsToOutput {
                indices.next();
            }
        } else if let Some(command) = commands.last_mut() {
            command.push(index);
        }
    }
    commands
}

/// Where the value of a flag that no rule knows may begin: `--passwrd=…`, `-p…`.
fn value_of_unknown(word: &str) -> usize {
    match word.strip_prefix('-') {
        Some(long) if long.starts_with('-') => word.find('=').map_or(word.len(), |at| at + 1),
        Some(short) => 1 + short.chars().next().map_or(0, char::len_utf8),
        None => 0,
    }
}

fn has_secrets(rule: &Rule) -> bool {
    rule.kinds().any(|kind| *kind == Kind::Secret)
}

#[cfg(test)]
mod tests {
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
        let told = denial(&["login", "-n", "hunter2"]);
        assert!(
            told.starts_with("command[2]: `hunter2` is not an integer"),
            "no rule calls it secret: {told}"
        );
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
}

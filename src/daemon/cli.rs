//! The command line of kernos itself: what can be asked of the binary, and the help that it prints.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use super::control::SOCKET;
use super::exit::Exit;
use super::policy_file::PACKAGED;

/// What `--version` says.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("KERNOS_COMMIT"), ")");

/// Lets AI agents run commands on this host, over MCP, and never more of them than its owner wrote down
///
/// kernos is a daemon. Agents reach it over HTTP with a key; a policy file says which commands each key may run,
/// in which directories, and for how long. Without a subcommand it serves.
#[derive(Debug, Parser)]
#[command(name = "kernos", version = VERSION, args_conflicts_with_subcommands = true, after_long_help = EXAMPLES)]
pub struct Cli {
    /// What is to be done; to serve, if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of `serve`, for when no subcommand is given.
    #[command(flatten)]
    pub serve: Serve,
}

const EXAMPLES: &str = "\
Examples:
  kernos                                  try it: a policy, a directory and a key made for this run
  kernos policy default > kernos.toml     begin a policy of your own
  kernos key new alice >> kernos.toml     let somebody in; the key is shown once
  mkdir -p /tmp/kernos-work               the directory of its commands
  kernos check kernos.toml                find every mistake in it
  kernos explain --config kernos.toml --key alice -- ls -la
                                          say whether alice may do this, and why
  kernos serve --config kernos.toml       serve it

Exit codes:
  0   done
  64  wrong usage
  69  no daemon answers
  70  a fault of kernos
  71  the system refused
  77  no permission
  78  a wrong configuration
`kernos check` has codes of its own.";

/// What can be asked of kernos.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve MCP over HTTP until stopped
    ///
    /// The policy says where to listen, as which users to run, who may call and what each caller may do.
    ///
    /// Without --config, a policy that is built in is used (`kernos policy default` prints it), with a directory and a
    /// key made for this run. Under systemd that never happens: there the file is /etc/kernos/kernos.toml.
    ///
    /// Started as root, kernos becomes the two users that the policy names before it serves. Started by anybody
    /// else it keeps that user, and says what is weaker for it.
    Serve(Serve),
    /// Have the daemon that runs serve a changed policy; for root
    ///
    /// Reads the file and its secrets as root, which the daemon can do no more, hands them over, and waits for the
    /// verdict. The new policy is served whole, or the old one is kept and every mistake of the new one printed.
    ///
    /// Running calls finish as they began, except those of keys that were removed, have expired or may less: they end at
    /// once. What was settled at the start needs a restart and is named: addresses, users, roots, the log.
    ///
    /// Exits with 0 if the new policy is served, 78 if it is not, 69 if no daemon answers.
    Reload(Reload),
    /// List the calls of this moment, with what they spend; for root
    ///
    /// A call is `running`, or `waiting` for its turn among those of its key (`concurrent` in the policy). `-` is what is
    /// not known: what a waiting call spends, or one that does not say within half a second; the command of one that is
    /// not judged yet. In JSON it is null.
    Calls(Calls),
    /// End a call that runs, with every process of it; for root
    ///
    /// Its caller is answered `cancelled`, with what it has written, or, while it waits for its turn, that the operator
    /// ended it. The record says `operator`. Exits with 0 once no process of it is left, and with 64 if there is no such
    /// call.
    Stop(Stop),
    /// Find every mistake in a policy file
    ///
    /// Reads the file as `serve` does, finds every program that it names on this host, runs every example in it, and
    /// prints all that is wrong or means less than one could believe, each with its place and what would be right.
    ///
    /// Exits with 0 if the policy is sound, 1 if it is not, 2 if that cannot be said.
    Check(Check),
    /// Say what a key may do with a command line, and which rules decide
    ///
    /// Nothing is run. Prints each rule that decided, with its line in the file; for a line that is allowed also the
    /// programs, the directory and the limits. The words are those that the agent would read.
    ///
    /// Exits with 0 if the line is allowed, 77 if it is refused, because the key has expired too, 64 if there is no such
    /// key, and 78 if the policy is unsound or not there.
    Explain(Explain),
    /// Make keys, and the digests that stand for them in a policy
    Key {
        /// What to make.
        #[command(subcommand)]
        make: Key,
    },
    /// Print a policy: one that is built in, or one made of a predecessor's settings
    Policy {
        /// Which.
        #[command(subcommand)]
        which: PolicyText,
    },
    /// List the tools that an agent can be given
    Tools(Tools),
    /// Print a completion script for a shell
    #[command(after_long_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// The process that starts the commands; the daemon starts it by itself
    #[command(hide = true)]
    Executor,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  kernos completions bash > /usr/share/bash-completion/completions/kernos
  kernos completions zsh > \"${fpath[1]}/_kernos\"
  kernos completions fish > ~/.config/fish/completions/kernos.fish";

/// The options of `serve`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_long_help = SERVE_EXAMPLES)]
pub struct Serve {
    /// The policy file; it must not be writable by anyone but its owner, who is root or you
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Listen here in place of what the policy says; may be repeated; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Take orders from root here (`kernos reload`); /run/kernos/control if started as root and nothing is said
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath)]
    pub control: Option<PathBuf>,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  kernos serve                                        a first look; prints a key and how to use it
  kernos serve --listen 127.0.0.1:0                   the same on any free port
  kernos serve --config /etc/kernos/kernos.toml       a policy of your own
  sudo kernos serve --config /etc/kernos/kernos.toml  the same, with users of its own";

/// The arguments of `reload`.
#[derive(Args, Debug)]
#[command(after_long_help = RELOAD_EXAMPLES)]
pub struct Reload {
    /// The policy file; without it /etc/kernos/kernos.toml, if that is the one that the daemon was started with
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Where the daemon takes orders
    #[arg(long, value_name = "SOCKET", default_value = SOCKET, value_hint = ValueHint::FilePath)]
    pub control: PathBuf,
}

const RELOAD_EXAMPLES: &str = "\
Examples:
  kernos check && kernos reload
  systemctl reload kernos                 the same, for a service as packaging/kernos.service describes it
  kernos reload --config kernos.toml --control /run/kernos-test/control";

/// The arguments of `calls`.
#[derive(Args, Debug)]
#[command(after_long_help = CALLS_EXAMPLES)]
pub struct Calls {
    /// Print a JSON array in place of a table
    #[arg(long)]
    pub json: bool,
    /// Where the daemon takes orders
    #[arg(long, value_name = "SOCKET", default_value = SOCKET, value_hint = ValueHint::FilePath)]
    pub control: PathBuf,
}

const CALLS_EXAMPLES: &str = "\
Examples:
  kernos calls
  kernos calls --json | jq '.[] | select(.age > 60)'";

/// The arguments of `stop`.
#[derive(Args, Debug)]
#[command(after_long_help = STOP_EXAMPLES)]
pub struct Stop {
    /// The number of the call, as `kernos calls` shows it
    #[arg(value_parser = call_number)]
    pub call: u64,
    /// Where the daemon takes orders
    #[arg(long, value_name = "SOCKET", default_value = SOCKET, value_hint = ValueHint::FilePath)]
    pub control: PathBuf,
}

const STOP_EXAMPLES: &str = "\
Examples:
  kernos stop 17";

fn call_number(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "a call has a whole number, such as 17: `kernos calls` shows it under CALL")
}

/// The arguments of `check`.
#[derive(Args, Debug)]
#[command(after_long_help = CHECK_EXAMPLES)]
pub struct Check {
    /// The policy file
    #[arg(value_name = "FILE", default_value = PACKAGED, value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The same, as the other commands call it.
    #[arg(long, value_name = "FILE", hide = true, conflicts_with = "file")]
    pub config: Option<PathBuf>,
    /// Print one JSON object in place of text
    #[arg(long)]
    pub json: bool,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  kernos check
  kernos check kernos.toml
  kernos check kernos.toml --json | jq '.diagnostics[].message'";

/// The arguments of `explain`.
#[derive(Args, Debug)]
#[command(after_long_help = EXPLAIN_EXAMPLES)]
pub struct Explain {
    /// The policy file
    #[arg(long, value_name = "FILE", default_value = PACKAGED, value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Whose call it is: a key's name in the policy, not the key itself
    #[arg(long, value_name = "NAME")]
    pub key: String,
    /// Where the call wants to run; what the policy chooses, if unsaid
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub directory: Option<String>,
    /// Print one JSON object in place of text
    #[arg(long)]
    pub json: bool,
    /// The command line, word by word; operators such as '|' are words of their own
    #[arg(last = true, required = true, value_name = "WORD")]
    pub words: Vec<String>,
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  kernos explain --key alice -- ls -la
  kernos explain --config kernos.toml --key alice --directory /srv/work -- git -c core.pager=x log
  kernos explain --config kernos.toml --key ci -- cat notes.txt '|' wc -l";

/// What `key` makes.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key: prints it once, and the table that a policy needs to know it
    ///
    /// The policy holds the key's digest only. Where standard output is not a terminal, only the table goes there and the
    /// key is shown on standard error, so that the table can be appended to a policy file.
    #[command(after_long_help = KEY_NEW_EXAMPLES)]
    New {
        /// What the policy and the record call it: letters, digits, `-` and `_`
        name: String,
    },
    /// Read a key from standard input and print its digest, for `sha256` in a policy
    #[command(after_long_help = KEY_HASH_EXAMPLES)]
    Hash,
}

const KEY_NEW_EXAMPLES: &str = "\
Examples:
  kernos key new alice
  kernos key new alice >> kernos.toml";

const KEY_HASH_EXAMPLES: &str = "\
Examples:
  kernos key hash                    asks for the key
  kernos key hash < key.txt";

/// What `policy` prints.
#[derive(Debug, Subcommand)]
pub enum PolicyText {
    /// The policy that is used when none is given; a good beginning for one of your own
    #[command(after_long_help = "Examples:\n  kernos policy default > kernos.toml")]
    Default,
    /// The rules that every policy can use by their names, and the groups of them (`@text`, …)
    #[command(
        after_long_help = "Examples:\n  kernos policy presets | less\n  kernos policy presets | grep -A8 '^\\[command.git'"
    )]
    Presets,
    /// A policy made of the settings of a program that kernos replaces, an env file
    ///
    /// Reads what Kernos (mcp-shell-server) and kasm-mcp-server-v2 were started with: an environment file of systemd or
    /// of docker, or a .env. Prints a policy that is sound on this host, with a comment wherever it does
    /// not mean what the file meant. Keys become digests; other secrets are not copied.
    ///
    /// Nothing is printed if a line of the file is no assignment: all of them are told with their places. Notes for
    /// you go to standard error.
    #[command(after_long_help = IMPORT_EXAMPLES)]
    Import(Import),
}

/// The arguments of `policy import`.
#[derive(Args, Debug)]
pub struct Import {
    /// The env file
    #[arg(value_name = "FILE.env", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  kernos policy import /etc/kernos/kernos.env | less
  (umask 077; kernos policy import kernos.env > kernos.toml) && kernos check kernos.toml";

/// The options of `tools`.
#[derive(Args, Debug)]
#[command(after_long_help = TOOLS_EXAMPLES)]
pub struct Tools {
    /// Print JSON, with the schema of each tool
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// Print the table of the README
    #[arg(long)]
    pub markdown: bool,
}

const TOOLS_EXAMPLES: &str = "\
Examples:
  kernos tools
  kernos tools --json | jq '.[].name'";

impl Check {
    /// The file to check, whichever way it was named.
    pub fn path(&self) -> &Path {
        self.config.as_deref().unwrap_or(&self.file)
    }
}

impl Cli {
    /// Reads the arguments; where they are wrong, or ask for help, prints what clap has to say and how to end.
    pub fn read() -> Result<Self, Exit> {
        Self::try_parse().map_err(|error| {
            // Nobody is left to tell if this cannot be printed.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Done }
        })
    }

    /// What is to be done.
    pub fn asked(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn read(words: &[&str]) -> Command {
        Cli::try_parse_from([&["kernos"], words].concat()).unwrap().asked()
    }

    fn every_command(command: &clap::Command, check: &mut impl FnMut(&clap::Command)) {
        check(command);
        command.get_subcommands().for_each(|inner| every_command(inner, check));
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_subcommand_it_serves() {
        let Command::Serve(serve) = read(&["--listen", "127.0.0.1:0"]) else { panic!("it must serve") };
        assert_eq!(serve.listen, ["127.0.0.1:0".parse().unwrap()]);
        assert!(matches!(read(&[]), Command::Serve(Serve { config: None, .. })));
    }

    #[test]
    fn the_words_to_explain_are_not_read_as_options() {
        let Command::Explain(explain) =
            read(&["explain", "--config", "k.toml", "--key", "alice", "--", "ls", "--json", "|", "wc"])
        else {
            panic!("it must explain")
        };
        assert_eq!(explain.words, ["ls", "--json", "|", "wc"]);
        assert!(!explain.json);
    }

    #[test]
    fn the_file_to_check_is_named_in_either_way_and_once() {
        let file = |words: &[&str]| match read(words) {
            Command::Check(check) => check.path().to_owned(),
            other => panic!("it must check: {other:?}"),
        };
        assert_eq!(file(&["check", "k.toml"]), PathBuf::from("k.toml"));
        assert_eq!(file(&["check", "--config", "k.toml"]), PathBuf::from("k.toml"));
        assert_eq!(file(&["check"]), PathBuf::from(PACKAGED));
        assert!(Cli::try_parse_from(["kernos", "check", "a.toml", "--config", "b.toml"]).is_err());
        let Command::Explain(explain) = read(&["explain", "--key", "alice", "--", "ls"]) else {
            panic!("it must explain")
        };
        assert_eq!(explain.config, PathBuf::from(PACKAGED));
    }

    #[test]
    fn what_is_no_number_of_a_call_is_told_what_one_looks_like() {
        let error = Cli::try_parse_from(["kernos", "stop", "abc"]).unwrap_err().to_string();
        assert!(error.contains("such as 17: `kernos calls` shows it"), "{error}");
    }

    #[test]
    fn every_help_has_examples() {
        every_command(&Cli::command(), &mut |command| {
            let has_work = command.get_subcommands().next().is_none() || command.get_name() == "kernos";
            let shown = !command.is_hide_set() && command.get_name() != "help";
            if has_work && shown {
                let examples = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
                assert!(examples.starts_with("Examples:\n"), "{}", command.get_name());
            }
        });
    }

    #[test]
    fn every_help_is_as_it_was_read_last() {
        let mut cli = Cli::command().version("0.0.0 (commit 0000000)").term_width(100);
        cli.build();
        let mut pages = Vec::new();
        every_command(&cli, &mut |command| {
            let shown = command.get_bin_name().is_some_and(|name| !name.contains("help"));
            if shown && !command.is_hide_set() {
                pages.push(command.clone().render_long_help().to_string());
            }
        });
        insta::assert_snapshot!(pages.join("\n\n"));
    }

    #[test]
    fn the_version_names_the_commit() {
        assert!(VERSION.starts_with(env!("CARGO_PKG_VERSION")));
        assert!(VERSION.contains("(commit "));
    }
}

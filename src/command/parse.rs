//! Words to a command line, in one pass.

use std::fmt;

use super::line::{CommandLine, Connector, Pipeline, Redirection, RedirectionKind, Stage, WORD_MAX, Word};
use super::word::{Token, classify, written};
use crate::vocab::printable;

/// Bytes of all words together: half of what execve(2) takes under the usual stack limit of 8 MiB.
pub const LINE_MAX: usize = 1 << 20;

/// Stages of one line: each may cost a process and two descriptors at once.
pub const STAGES_MAX: usize = 64;

/// Why an array of words is not a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The index of the word, from 0.
    pub at: usize,
    /// What is wrong with it.
    pub kind: SyntaxErrorKind,
}

/// What can be wrong with a word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxErrorKind {
    /// There is no word at all.
    #[error("the command is empty: name a program")]
    Empty,
    /// A NUL, which no argument can hold.
    #[error("a word cannot hold a NUL byte")]
    Nul,
    /// Longer than execve(2) takes.
    #[error(
        "a word of {bytes} bytes is too long: the limit is {WORD_MAX}, longer text belongs into `stdin` or a file"
    )]
    WordTooLong {
        /// Its length.
        bytes: usize,
    },
    /// All words together are longer than [`LINE_MAX`].
    #[error(
        "the words are longer than {LINE_MAX} bytes together: longer text belongs into `stdin` or a file"
    )]
    LineTooLong,
    /// More stages than [`STAGES_MAX`].
    #[error("more than {STAGES_MAX} commands in one line: send several calls")]
    TooManyStages,
    /// An operator where a program must stand.
    #[error("`{operator}` has no command before it")]
    NothingBefore {
        /// The operator.
        operator: &'static str,
    },
    /// An operator at the end.
    #[error("`{operator}` has no command after it")]
    NothingAfter {
        /// The operator.
        operator: &'static str,
    },
    /// A redirection without its path.
    #[error("`{operator}` needs a path as the next word")]
    NoPath {
        /// The operator.
        operator: &'static str,
    },
    /// A redirection without a program.
    #[error("`{operator}` redirects nothing: no program is named")]
    NoProgram {
        /// The operator.
        operator: &'static str,
    },
    /// A word for a shell.
    #[error(
        "there is no shell here, so `{word}` means nothing: {remedy}; as plain text, write `\\{word}`",
        word = printable(word)
    )]
    ShellOnly {
        /// The word.
        word: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A redirection in one word.
    #[error(
        "`{word}` is not split: write the two words `{operator}` and `{path}`; as plain text, write `\\{word}`",
        word = printable(word), path = printable(path)
    )]
    Glued {
        /// The word.
        word: String,
        /// Its first part.
        operator: &'static str,
        /// Its second part.
        path: String,
    },
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command[{}]: {}", self.at, self.kind)
    }
}

impl std::error::Error for SyntaxError {}

/// Reads a command line.
pub fn parse(words: Vec<String>) -> Result<CommandLine, SyntaxError> {
    bounded(&words)?;
    let mut reader = Reader::default();
    let mut line: Vec<(Connector, Pipeline)> = Vec::new();
    let mut joined_by = Connector::Then;
    let mut pipeline: Vec<Stage> = Vec::new();
    let mut last = (0, "");
    let mut stages = 0;

    let mut tokens = words.into_iter().enumerate();
    while let Some((at, text)) = tokens.next() {
        let fail = |kind| SyntaxError { at, kind };
        let symbol = match classify(text).map_err(fail)? {
            Token::Data(text) => {
                reader.word(Word { text, at });
                continue;
            }
            Token::Redirection(kind) => {
                reader.redirect(at, kind, &mut tokens)?;
                continue;
            }
            Token::Pipe => "|",
            Token::Connector(connector) => connector.symbol(),
        };
        stages += 1;
        if stages == STAGES_MAX {
            return Err(fail(SyntaxErrorKind::TooManyStages));
        }
        let stage =
            reader.finish()?.ok_or_else(|| fail(SyntaxErrorKind::NothingBefore { operator: symbol }))?;
        pipeline.push(stage);
        if let Some(connector) = Connector::ALL.into_iter().find(|one| one.symbol() == symbol) {
            line.extend(joined(&mut pipeline).map(|pipeline| (joined_by, pipeline)));
            joined_by = connector;
        }
        last = (at, symbol);
    }

    let stage = reader.finish()?.ok_or(match last {
        (_, "") => SyntaxError { at: 0, kind: SyntaxErrorKind::Empty },
        (at, operator) => SyntaxError { at, kind: SyntaxErrorKind::NothingAfter { operator } },
    })?;
    pipeline.push(stage);
    line.extend(joined(&mut pipeline).map(|pipeline| (joined_by, pipeline)));
    let mut line = line.into_iter();
    let (_, first) = line.next().ok_or(SyntaxError { at: 0, kind: SyntaxErrorKind::Empty })?;
    Ok(CommandLine { first, rest: line.collect() })
}

fn bounded(words: &[String]) -> Result<(), SyntaxError> {
    let mut bytes = 0;
    for (at, word) in words.iter().enumerate() {
        // Each word also costs its NUL and its pointer.
        bytes += word.len() + 9;
        if bytes > LINE_MAX {
            return Err(SyntaxError { at, kind: SyntaxErrorKind::LineTooLong });
        }
    }
    Ok(())
}

fn joined(stages: &mut Vec<Stage>) -> Option<Pipeline> {
    let mut stages = std::mem::take(stages).into_iter();
    Some(Pipeline { first: stages.next()?, rest: stages.collect() })
}

/// Collects one stage.
#[derive(Default)]
struct Reader {
    words: Vec<Word>,
    redirections: Vec<Redirection>,
    redirected_at: Option<(usize, RedirectionKind)>,
}

impl Reader {
    fn word(&mut self, word: Word) {
        self.words.push(word);
    }

    fn redirect(
        &mut self,
        at: usize,
        kind: RedirectionKind,
        tokens: &mut impl Iterator<Item = (usize, String)>,
    ) -> Result<(), SyntaxError> {
        self.redirected_at.get_or_insert((at, kind));
        let path = if kind == RedirectionKind::ErrorsToOutput {
            None
        } else {
            let missing = SyntaxError { at, kind: SyntaxErrorKind::NoPath { operator: kind.symbol() } };
            let (at, text) = tokens.next().ok_or_else(|| missing.clone())?;
            match classify(text).map_err(|kind| SyntaxError { at, kind })? {
                Token::Data(text) => Some(Word { text, at }),
                _ => return Err(missing),
            }
        };
        self.redirections.push(Redirection { kind, path });
        Ok(())
    }

    /// The stage that was read; `None` if there was nothing.
    fn finish(&mut self) -> Result<Option<Stage>, SyntaxError> {
        let mut words = std::mem::take(&mut self.words).into_iter();
        let redirections = std::mem::take(&mut self.redirections);
        match (words.next(), self.redirected_at.take()) {
            (Some(program), _) => Ok(Some(Stage { program, arguments: words.collect(), redirections })),
            (None, Some((at, kind))) => {
                Err(SyntaxError { at, kind: SyntaxErrorKind::NoProgram { operator: kind.symbol() } })
            }
            (None, None) => Ok(None),
        }
    }
}

/// The words that [`parse`] reads as this line; redirections come after the arguments.
impl From<&CommandLine> for Vec<String> {
    fn from(line: &CommandLine) -> Self {
        let mut words = pipeline_words(&line.first);
        for (connector, pipeline) in &line.rest {
            words.push(connector.symbol().to_owned());
            words.extend(pipeline_words(pipeline));
        }
        words
    }
}

fn pipeline_words(pipeline: &Pipeline) -> Vec<String> {
    let stages: Vec<Vec<String>> = pipeline.stages().map(stage_words).collect();
    stages.join(&"|".to_owned())
}

fn stage_words(stage: &Stage) -> Vec<String> {
    let mut words: Vec<String> = stage.argv().iter().map(|word| written(word.text())).collect();
    for redirection in &stage.redirections {
        words.push(redirection.kind.symbol().to_owned());
        words.extend(redirection.path.iter().map(|path| written(path.text())));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(words: &[&str]) -> Result<CommandLine, SyntaxError> {
        parse(words.iter().map(|&word| word.to_owned()).collect())
    }

    fn word(text: &str) -> Word {
        Word { text: text.to_owned(), at: 0 }
    }

    fn stage(words: &[&str]) -> Stage {
        Stage {
            program: word(words[0]),
            arguments: words[1..].iter().copied().map(word).collect(),
            redirections: vec![],
        }
    }

    fn error(words: &[&str]) -> String {
        line(words).unwrap_err().to_string()
    }

    #[test]
    fn pipelines_and_connectors_are_whole_words() {
        let read = line(&["a", "1", "|", "b", "&&", "c", "", ";", "d", "\\;"]).unwrap();
        let expected = CommandLine {
            first: Pipeline { first: stage(&["a", "1"]), rest: vec![stage(&["b"])] },
            rest: vec![
                (Connector::And, Pipeline { first: stage(&["c", ""]), rest: vec![] }),
                (Connector::Then, Pipeline { first: stage(&["d", ";"]), rest: vec![] }),
            ],
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn a_word_knows_where_it_was_written() {
        let read = line(&["a", ">", "f", "x", "|", "b"]).unwrap();
        assert_eq!(read.first.first.arguments[0].at(), 3);
        assert_eq!(read.first.rest[0].program.at(), 5);
    }

    #[test]
    fn redirections_keep_their_order() {
        let read = line(&["a", "2>&1", ">", "f", "-x", "<", "\\<"]).unwrap();
        let kinds: Vec<_> = read.first.first.redirections.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [RedirectionKind::ErrorsToOutput, RedirectionKind::Output, RedirectionKind::Input]);
        assert_eq!(read.first.first.redirections[2].path, Some(word("<")));
        assert_eq!(read.first.first.arguments, [word("-x")]);
    }

    #[test]
    fn dangling_leading_and_doubled_operators_name_their_word() {
        assert_eq!(error(&[]), "command[0]: the command is empty: name a program");
        assert_eq!(error(&["ls", "|"]), "command[1]: `|` has no command after it");
        assert_eq!(error(&["ls", ";"]), "command[1]: `;` has no command after it");
        assert_eq!(error(&["&&", "ls"]), "command[0]: `&&` has no command before it");
        assert_eq!(error(&["ls", "|", "|", "wc"]), "command[2]: `|` has no command before it");
        assert_eq!(error(&["ls", ">"]), "command[1]: `>` needs a path as the next word");
        assert_eq!(error(&["ls", ">", "|", "wc"]), "command[1]: `>` needs a path as the next word");
        assert_eq!(error(&["ls", ";", ">", "f"]), "command[2]: `>` redirects nothing: no program is named");
        assert_eq!(error(&["a\0b"]), "command[0]: a word cannot hold a NUL byte");
    }

    #[test]
    fn a_refused_word_is_quoted_within_bounds() {
        let long = format!("2>{}", "x".repeat(5000));
        assert!(error(&["ls", &long]).len() < 600);
        assert!(!error(&["ls", "2>a\u{1b}[31m"]).contains('\u{1b}'));
    }

    #[test]
    fn sizes_are_bounded() {
        let long = "x".repeat(WORD_MAX + 1);
        assert!(matches!(line(&["ls", &long]).unwrap_err().kind, SyntaxErrorKind::WordTooLong { .. }));
        let wide = vec!["y".to_owned(); LINE_MAX / 10 + 1];
        assert_eq!(parse(wide).unwrap_err().kind, SyntaxErrorKind::LineTooLong);
        let mut many = vec!["a"];
        for _ in 0..STAGES_MAX {
            many.extend(["|", "a"]);
        }
        assert_eq!(line(&many).unwrap_err().kind, SyntaxErrorKind::TooManyStages);
    }

    fn any_word() -> impl Strategy<Value = String> {
        let odd = [
            "|", "&&", "||", ";", "<", ">", ">>", "2>", "2>>", "2>&1", "&>", "&", "<<", "\\;", "\\\\|",
            "2>/x", "",
        ];
        prop_oneof![
            3 => "[a-z;|&<>\\\\ ]{0,4}",
            2 => proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
            1 => any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn a_printed_line_reads_back_as_itself(words in proptest::collection::vec(any_word(), 0..12)) {
            if let Ok(line) = parse(words) {
                prop_assert_eq!(parse(Vec::from(&line)), Ok(line));
            }
        }

        #[test]
        fn any_text_can_be_an_argument(text in "[^\0]{0,40}") {
            let read = parse(vec!["echo".to_owned(), written(&text)]).unwrap();
            prop_assert_eq!(read.first.first.arguments[0].text(), text);
        }
    }
}

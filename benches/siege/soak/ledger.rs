//! What was asked, and what the daemon says of it: each answer, and each event on its record.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

/// The words that mark a call whose answer nobody sees begin so.
const MARK: &str = "mark-";

/// Both sides, while they are written.
#[derive(Default)]
pub struct Ledger(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    /// By request id, how each call that was answered must be on record.
    answered: HashMap<String, &'static str>,
    /// Requests of nobody known, of which only the number is on record.
    refused: u64,
    /// By mark, how each call must be on record whose answer was not waited for.
    marked: HashMap<String, &'static str>,
    /// Calls of which nobody can know whether the daemon has seen them.
    perhaps: usize,
    next_mark: u64,
    acts: usize,
    unexpected: Vec<String>,
    events: Vec<Event>,
    errors: Vec<String>,
}

/// What of an event is looked at.
struct Event {
    sequence: u64,
    request_id: String,
    is_call: bool,
    outcome: String,
    /// How many requests it tells of.
    count: u64,
    mark: Option<String>,
}

impl Ledger {
    /// A word that no other call has.
    pub fn fresh_mark(&self) -> String {
        let mut pages = self.pages();
        pages.next_mark += 1;
        format!("{MARK}{}", pages.next_mark)
    }

    /// A call was answered, and must be on record so.
    pub fn answered(&self, request_id: &str, outcome: &'static str) {
        self.pages().answered.insert(request_id.to_owned(), outcome);
    }

    /// A request of nobody known was refused.
    pub fn refused(&self) {
        self.pages().refused += 1;
    }

    /// A call with a mark has begun, and must be on record so.
    pub fn begun(&self, mark: &str, outcome: &'static str) {
        self.pages().marked.insert(mark.to_owned(), outcome);
    }

    /// A call was sent by somebody who hung up at once.
    pub fn perhaps(&self) {
        self.pages().perhaps += 1;
    }

    /// Something was done; what was unexpected about it, if anything was.
    pub fn done(&self, result: Result<(), String>) {
        let mut pages = self.pages();
        pages.acts += 1;
        pages.unexpected.extend(result.err());
    }

    /// Takes a line of the daemon's log.
    pub fn hear(&self, line: &str) {
        let mut pages = self.pages();
        match serde_json::from_str::<Value>(line) {
            Ok(line) if line["target"] == "kernos::audit" => pages.events.extend(Event::of(&line)),
            Ok(line) if line["level"] == "ERROR" => pages.errors.push(line.to_string()),
            Ok(_) => {}
            Err(_) => pages.unexpected.push(format!("the daemon's log has a line that is no JSON: {line}")),
        }
    }

    /// What there was in all, in a sentence.
    pub fn summary(&self) -> String {
        let pages = self.pages();
        let first = pages.errors.first().map_or(String::new(), |line| format!(", the first being {line}"));
        format!(
            "{} acts, {} answers, {} calls that were left, {} perhaps; {} events on record; {} errors in the log{first}",
            pages.acts,
            pages.answered.len(),
            pages.marked.len(),
            pages.perhaps,
            pages.events.len(),
            pages.errors.len(),
        )
    }

    /// How many events were heard.
    pub fn events(&self) -> usize {
        self.pages().events.len()
    }

    /// Everything that is not as it should be, once the whole log was heard.
    pub fn faults(&self) -> Vec<String> {
        let pages = self.pages();
        let mut faults = pages.unexpected.clone();
        faults.extend(pages.gaps());
        faults.extend(pages.wrong_events());
        faults.extend(pages.missing_events());
        faults.extend(pages.miscounted());
        faults
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl Pages {
    /// Every number from 0 is there once.
    fn gaps(&self) -> Option<String> {
        let numbers: HashSet<u64> = self.events.iter().map(|event| event.sequence).collect();
        let (count, most) = (self.events.len(), numbers.iter().max().copied()?);
        let missing = (0..=most).filter(|number| !numbers.contains(number)).count();
        let twice = count - numbers.len();
        (missing + twice > 0).then(|| {
            format!("the record: of the numbers up to {most}, {missing} are missing and {twice} there twice")
        })
    }

    /// Events that are there twice, or otherwise than the request that they are of.
    fn wrong_events(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut wrong = Vec::new();
        for event in self.events.iter().filter(|event| event.is_call) {
            let told = |what: &str| format!("the record: request {}: {what}", event.request_id);
            if !seen.insert(&event.request_id) {
                wrong.push(told("there twice"));
            }
            let marked = event.mark.as_ref().and_then(|mark| self.marked.get(mark));
            let expected = self.answered.get(&event.request_id).or(marked);
            if let Some(expected) = expected.filter(|expected| event.outcome != **expected) {
                wrong.push(told(&format!("there as {}, not as {expected}", event.outcome)));
            }
        }
        wrong
    }

    /// Requests and marks without an event.
    fn missing_events(&self) -> Vec<String> {
        let ids: HashSet<&String> = self.events.iter().map(|event| &event.request_id).collect();
        let marks: HashSet<&String> = self.events.iter().filter_map(|event| event.mark.as_ref()).collect();
        let answered = self.answered.keys().filter(|id| !ids.contains(id));
        let marked = self.marked.keys().filter(|mark| !marks.contains(mark));
        answered.chain(marked).map(|one| format!("the record: nothing of {one}")).collect()
    }

    /// As many calls are on record as were made, but those of whoever hung up at once, which may be missing; and as
    /// many refusals.
    fn miscounted(&self) -> Option<String> {
        let (calls, others): (Vec<_>, Vec<_>) = self.events.iter().partition(|event| event.is_call);
        let (recorded, made) = (calls.len(), self.answered.len() + self.marked.len());
        let refused: u64 = others.iter().map(|event| event.count).sum();
        let is_off = recorded < made || recorded > made + self.perhaps || refused != self.refused;
        is_off.then(|| {
            format!(
                "the record: {recorded} calls, but {made} were made, and {} perhaps; {refused} refusals, but {} were met",
                self.perhaps, self.refused
            )
        })
    }
}

impl Event {
    fn of(line: &Value) -> Option<Self> {
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let mark = line["command"].as_str().and_then(|command| {
            let (_, rest) = command.split_once(MARK)?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Some(format!("{MARK}{digits}"))
        });
        Some(Self {
            sequence: line["seq"].as_u64()?,
            request_id: text("request_id").unwrap_or_default(),
            is_call: line["tool"].is_string(),
            outcome: text("outcome").unwrap_or_default(),
            count: line["count"].as_u64().unwrap_or(1),
            mark,
        })
    }
}

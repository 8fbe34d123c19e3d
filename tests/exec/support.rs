//! An executor with a root of its own, and plans from arrays of words.

use std::future::{Future, pending};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kernos::command::{self, Pipeline, Redirection, RedirectionKind, Stage};
use kernos::exec::{Captured, Ended, Error, Executor, Outcome, Stop, Watch};
use kernos::policy::Plan;
use kernos::sandbox::Identity;
use serde_json::{Value, json};

/// The numeric user that the executor becomes when the tests run as root.
const RUN_AS: u32 = 60902;

pub(crate) struct Host {
    pub(crate) executor: Executor,
    root: tempfile::TempDir,
}

impl Host {
    pub(crate) async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let identity = is_root().then(|| Identity::anonymous(RUN_AS));
        if identity.is_some() {
            chown(root.path(), Some(RUN_AS), Some(RUN_AS)).unwrap();
        }
        let users = [identity.as_ref().map_or_else(own_user, |_| (RUN_AS, vec![RUN_AS]))];
        let launched = Executor::launch_as(executor(), identity.as_ref(), &users).unwrap();
        Self { executor: launched.into_async().await.unwrap(), root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file that the commands may read and write.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn call(&self, words: &[&str]) -> Call<'_> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Call {
            host: self,
            words,
            stdin: Vec::new(),
            timeout: Duration::from_secs(20),
            output: 1 << 20,
            output_total: 1 << 34,
            umask: 0o022,
            open_files: None,
            watch: Watch::default(),
        }
    }

    /// The call's outcome as (how it ended, standard output, standard error).
    pub(crate) async fn said(&self, words: &[&str]) -> (Ended, String, String) {
        said(&self.call(words).run().await)
    }

    pub(crate) async fn stdout(&self, words: &[&str]) -> String {
        self.said(words).await.1
    }
}

pub(crate) struct Call<'h> {
    host: &'h Host,
    words: Vec<String>,
    pub(crate) stdin: Vec<u8>,
    pub(crate) timeout: Duration,
    pub(crate) output: u64,
    pub(crate) output_total: u64,
    pub(crate) umask: u32,
    pub(crate) open_files: Option<u64>,
    pub(crate) watch: Watch,
}

impl Call<'_> {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn within(self, timeout: Duration) -> Self {
        self.with(|call| call.timeout = timeout)
    }

    pub(crate) fn input(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.with(|call| call.stdin = bytes.into())
    }

    pub(crate) async fn run(self) -> Outcome {
        self.until(pending()).await.unwrap()
    }

    pub(crate) async fn until(mut self, stop: impl Future<Output = Stop>) -> Result<Outcome, Error> {
        let stdin = std::mem::take(&mut self.stdin);
        self.host.executor.run(self.plan(), stdin, self.watch.clone(), stop).await
    }

    pub(crate) fn plan(&self) -> Plan {
        serde_json::from_value(self.json()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        let line = command::parse(self.words.clone()).unwrap();
        let rest: Vec<Value> = line
            .rest
            .iter()
            .map(|(connector, pipeline)| json!([connector, self.pipeline(pipeline)]))
            .collect();
        json!({
            "first": self.pipeline(&line.first),
            "rest": rest,
            "directory": self.place(""),
            "umask": self.umask,
            "limits": {
                "timeout": self.timeout,
                "output": self.output,
                "output_total": self.output_total,
                "stdin": 1 << 30,
            },
        })
    }

    fn pipeline(&self, pipeline: &Pipeline) -> Value {
        let stages: Vec<Value> = pipeline.stages().map(|stage| self.stage(stage)).collect();
        json!({ "stages": stages })
    }

    fn stage(&self, stage: &Stage) -> Value {
        let name = stage.program.text();
        let argv: Vec<String> = stage.argv().iter().map(|word| word.text().to_owned()).collect();
        let redirections: Vec<Value> =
            stage.redirections.iter().map(|redirection| self.redirection(redirection)).collect();
        json!({
            "rule": name,
            "program": { "file": pinned(&found(name)), "interpreters": [] },
            "argv": argv,
            "environment": [["PATH", "/usr/bin:/bin"], ["TESTS", std::process::id().to_string()]],
            "redirections": redirections,
            "limits": { "open_files": self.open_files },
        })
    }

    fn redirection(&self, redirection: &Redirection) -> Value {
        let target = redirection.path.as_ref().map(|word| match word.text() {
            "/dev/null" => json!("Null"),
            written => json!({ "File": { "place": self.place(written), "written": written } }),
        });
        let output = |stream: &str, append: bool| {
            let fields = json!({ "stream": stream, "target": target, "append": append });
            json!({ "Output": fields })
        };
        match redirection.kind {
            RedirectionKind::Input => json!({ "Input": target }),
            RedirectionKind::Output => output("Stdout", false),
            RedirectionKind::Append => output("Stdout", true),
            RedirectionKind::Errors => output("Stderr", false),
            RedirectionKind::AppendErrors => output("Stderr", true),
            RedirectionKind::ErrorsToOutput => json!("ErrorsToOutput"),
            RedirectionKind::Both => json!({ "Both": target }),
        }
    }

    fn place(&self, relative: &str) -> Value {
        json!({ "root": self.host.root.path(), "relative": relative })
    }
}

/// The command line of the executor process.
pub(crate) fn executor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kernos"));
    command.arg("executor");
    command
}

/// The file that a name stands for, as the policy would resolve it.
fn found(name: &str) -> PathBuf {
    let mut candidates = ["/usr/bin", "/bin"].iter().map(|directory| Path::new(directory).join(name));
    candidates.find(|path| path.exists()).unwrap_or_else(|| Path::new("/nowhere").join(name))
}

/// A file as the policy pins it.
pub(crate) fn pinned(path: &Path) -> Value {
    let facts = std::fs::metadata(path);
    let (device, inode) = facts.map_or((0, 0), |facts| (facts.dev(), facts.ino()));
    let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let id = json!({ "device": device, "inode": inode });
    json!({ "path": path, "canonical": canonical, "id": id, "privileged": false })
}

pub(crate) fn said(outcome: &Outcome) -> (Ended, String, String) {
    (outcome.ended.clone(), text(&outcome.stdout), text(&outcome.stderr))
}

pub(crate) fn text(captured: &Captured) -> String {
    String::from_utf8([captured.head.clone(), captured.tail.clone()].concat()).unwrap()
}

pub(crate) fn exited(code: u8, stdout: &str) -> (Ended, String, String) {
    (Ended::Exited(code), stdout.to_owned(), String::new())
}

pub(crate) fn is_root() -> bool {
    own_user().0 == 0
}

fn own_user() -> (u32, Vec<u32>) {
    let facts = std::fs::metadata("/proc/self").unwrap();
    (facts.uid(), vec![facts.gid()])
}

/// The processes of these tests whose arguments hold this text: commands that are to be found again are started
/// with a number of their own.
pub(crate) fn alive(marker: &str) -> Vec<u32> {
    let holds = |id: &u32, file: &str, text: &str| {
        let content = std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&content).contains(text)
    };
    let these = format!("TESTS={}\0", std::process::id());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| holds(id, "cmdline", marker) && holds(id, "environ", &these)).collect()
}

/// Waits for something that happens soon.
pub(crate) async fn soon(condition: impl Fn() -> bool) -> bool {
    for _ in 0..500 {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// The parent of a process.
pub(crate) fn parent(id: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    status.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

pub(crate) fn kill(id: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &id.to_string()]).status().unwrap().success());
}

//! Whatever arguments are sent, a tool answers; and what it hands to be run was allowed by the policy.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{self, BoxFuture};
use kernos::exec::{self, Captured, Ended, Outcome, Stop, Watch};
use kernos::policy::{DEFAULT, Grant, Plan, Source, compile};
use kernos::tools::{self, Context, Runner};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::sync::Semaphore;

#[path = "../../benches/paper_host.rs"]
mod paper_host;

const KEY: &str = "\n[key.me]\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000001\"\nprofile = \"default\"\n";

static GRANT: LazyLock<Arc<Grant>> = LazyLock::new(|| {
    let source = Source { name: "default".to_owned(), text: format!("{DEFAULT}{KEY}") };
    let compiled = compile(&source, &paper_host::PaperHost, &tools::known());
    let policy = compiled.policy.expect("the default policy is sound");
    Arc::clone(policy.access().principal("me").expect("it is in the text").grant())
});

/// Runs nothing, and says that it went well.
struct Paper;

impl Runner for Paper {
    fn run(
        &self,
        plan: Plan,
        _stdin: Vec<u8>,
        _watch: Watch,
        _stop: BoxFuture<'static, Stop>,
    ) -> BoxFuture<'_, Result<Outcome, exec::Error>> {
        assert!(plan.pipelines().all(|(_, pipeline)| !pipeline.stages().is_empty()));
        let nothing = Outcome {
            ended: Ended::Exited(0),
            stages: Vec::new(),
            stdout: Captured::default(),
            stderr: Captured::default(),
            took: Duration::ZERO,
        };
        future::ready(Ok(nothing)).boxed()
    }

    fn serves(&self) -> bool {
        true
    }
}

fuzz_target!(|text: &str| {
    let Ok(Value::Object(arguments)) = serde_json::from_str(text) else { return };
    let tool = tools::find("shell_execute").expect("it is in the catalogue");
    let grant = GRANT.tool(tool.name).expect("the profile has it");
    let turn = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("it is the only call");
    let context = Context {
        grant,
        runner: Arc::new(Paper),
        turn: future::ready(Ok(turn)).boxed(),
        watch: Watch::default(),
        stop: future::pending().boxed(),
    };
    let reply = tool.call(arguments, context).now_or_never().expect("nothing is waited for");
    assert!(!reply.text.is_empty());
});

//! Whatever is asked, a plan holds only programs of the profile, and directories and files in its roots.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use kernos::command::parse;
use kernos::policy::plan::{PlannedRedirection, Target};
use kernos::policy::{DEFAULT, Grant, KnownTool, Request, Source, compile};
use libfuzzer_sys::fuzz_target;

#[path = "../../benches/paper_host.rs"]
mod paper_host;

const KEY: &str = "\n[key.me]\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000001\"\nprofile = \"default\"\n";

static GRANT: LazyLock<Arc<Grant>> = LazyLock::new(|| {
    let tools = [KnownTool { name: "shell_execute", class: None, served: true }];
    let source = Source { name: "default".to_owned(), text: format!("{DEFAULT}{KEY}") };
    let compiled = compile(&source, &paper_host::PaperHost, &tools);
    let policy = compiled.policy.expect("the default policy is sound");
    Arc::clone(policy.access().principal("me").expect("it is in the text").grant())
});

fuzz_target!(|asked: (Vec<String>, Option<String>, Option<u16>)| {
    let (words, directory, seconds) = asked;
    let Ok(line) = parse(words) else { return };
    let timeout = seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let tool = GRANT.tool("shell_execute").expect("the profile has it");
    match tool.plan(&Request { line, directory, timeout }) {
        Err(denial) => assert!(!denial.to_string().is_empty()),
        Ok(plan) => {
            assert!(GRANT.roots().iter().any(|root| root.canonical == plan.directory().root));
            for stage in plan.pipelines().flat_map(|(_, pipeline)| pipeline.stages()) {
                let listed = GRANT.rules().any(|rule| rule.program() == Some(stage.program()));
                assert!(listed, "{stage:?}");
                stage.redirections().iter().for_each(in_a_root);
            }
        }
    }
});

fn in_a_root(redirection: &PlannedRedirection) {
    let target = match redirection {
        PlannedRedirection::Input(target) | PlannedRedirection::Both(target) => target,
        PlannedRedirection::Output { target, .. } => target,
        PlannedRedirection::ErrorsToOutput => return,
    };
    if let Target::File { place, .. } = target {
        assert!(GRANT.roots().iter().any(|root| root.canonical == place.root), "{place:?}");
    }
}

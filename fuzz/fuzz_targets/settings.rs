//! Any file of variables becomes a policy that compiles, or at least one mistake.
#![no_main]

use kernos::policy::import::{Imported, import};
use kernos::policy::{KnownTool, Source, compile};
use libfuzzer_sys::fuzz_target;

#[path = "../../benches/paper_host.rs"]
mod paper_host;

const TOOLS: [KnownTool; 2] = [
    KnownTool { name: "shell_execute", class: None, served: true },
    KnownTool { name: "get_kasm_users", class: Some("kasm:read"), served: false },
];

fuzz_target!(|text: String| {
    let source = Source { name: "kernos.env".to_owned(), text };
    match import(&source, &paper_host::PaperHost) {
        Err(mistakes) => assert!(!mistakes.is_empty()),
        Ok(Imported { policy, .. }) => {
            let source = Source { name: "kernos.toml".to_owned(), text: policy };
            let compiled = compile(&source, &paper_host::PaperHost, &TOOLS);
            assert!(compiled.policy.is_some(), "{}\n{:#?}", source.text, compiled.diagnostics);
        }
    }
});

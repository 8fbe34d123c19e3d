//! Any text becomes a policy, or at least one error that can be printed.
#![no_main]

use kernos::policy::{KnownTool, Severity, Source, compile};
use libfuzzer_sys::fuzz_target;

#[path = "../../benches/paper_host.rs"]
mod paper_host;

const TOOLS: [KnownTool; 2] = [
    KnownTool { name: "shell_execute", class: None, served: true },
    KnownTool { name: "get_kasm_users", class: Some("kasm:read"), served: false },
];

fuzz_target!(|text: String| {
    let source = Source { name: "kernos.toml".to_owned(), text };
    let compiled = compile(&source, &paper_host::PaperHost, &TOOLS);
    let errors =
        compiled.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    assert_eq!(compiled.policy.is_none(), errors > 0);
    for diagnostic in &compiled.diagnostics {
        assert!(!diagnostic.to_string().is_empty());
    }
});

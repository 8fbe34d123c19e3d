//! What a call costs before anything is started: reading its words, judging them, knowing its key.
#![allow(unreachable_pub, reason = "a program exports nothing")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use criterion::{Criterion, criterion_group, criterion_main};
use kernos::command;
use kernos::policy::{self, KnownTool, Policy, Request, Source};
use kernos::vocab::Secret;

#[path = "paper_host.rs"]
mod paper_host;

use paper_host::PaperHost;

const TOOLS: [KnownTool; 1] = [KnownTool { name: "shell_execute", class: None, served: true }];

/// As many keys as a large team has: the key check looks at every one of them.
const KEYS: usize = 100;

const HEAD: &str = r#"
[server]
user = "kernos"
run_as = "kernos-run"
sandbox = "best-effort"
[root.work]
path = "/srv/work"
[profile.dev]
tools = ["shell_execute"]
commands = ["@kernos-classic"]
roots = { work = "rw" }
"#;

/// The line that is read and judged: three stages, flags, paths and a redirection.
const LINE: [&str; 17] = [
    "grep",
    "-rn",
    "--include=*.rs",
    "TODO",
    "src",
    "|",
    "sort",
    "-k",
    "1,1",
    "|",
    "head",
    "-n",
    "20",
    ">",
    "todo.txt",
    "&&",
    "pwd",
];

fn decisions(criterion: &mut Criterion) {
    let text = text();
    let policy = compiled(&text);
    let grant = policy.access().principal("key7").expect("it is in the policy").grant();
    let tool = Arc::clone(grant).tool("shell_execute").expect("the profile has it");
    let line = command::parse(words()).expect("a sound line");
    let request = Request { line, directory: None, timeout: None };
    let _ = tool.plan(&request).expect("an allowed line");
    let denied =
        Request { line: command::parse(vec!["rmdir".into(), "x".into()]).expect("sound"), ..request.clone() };
    tool.plan(&denied).expect_err("not on the list");

    criterion.bench_function("parse a line of three stages", |bencher| {
        bencher.iter_batched(words, command::parse, criterion::BatchSize::SmallInput);
    });
    criterion.bench_function("authorise it", |bencher| bencher.iter(|| tool.plan(black_box(&request))));
    criterion.bench_function("deny a line", |bencher| bencher.iter(|| tool.plan(black_box(&denied))));
    for (name, key) in
        [("know one key of 100", secret(7)), ("refuse a wrong key", Secret::new("kernos_wrong"))]
    {
        let from = IpAddr::from([127, 0, 0, 1]);
        let now = SystemTime::now();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| policy.access().identify(Some(black_box(&key)), from, false, now).is_ok());
        });
    }
    criterion.bench_function("compile the policy", |bencher| bencher.iter(|| compiled(black_box(&text))));
}

fn words() -> Vec<String> {
    LINE.map(str::to_owned).to_vec()
}

fn text() -> String {
    let mut text = HEAD.to_owned();
    for number in 0..KEYS {
        let digest = secret(number).sha256().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes all");
            hex
        });
        write!(text, "[key.key{number}]\nsha256 = \"{digest}\"\nprofile = \"dev\"\n")
            .expect("a string takes all");
    }
    text
}

fn secret(number: usize) -> Secret {
    Secret::new(format!("kernos_bench_key_{number}"))
}

fn compiled(text: &str) -> Policy {
    let source = Source { name: "kernos.toml".to_owned(), text: text.to_owned() };
    let compiled = policy::compile(&source, &PaperHost, &TOOLS);
    compiled.policy.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

criterion_group!(benches, decisions);
criterion_main!(benches);

//! What a call costs beside a bare spawn. Run alone, in release: `cargo test --release --test exec --
//! --ignored pace`

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kernos::exec::Watch;

use crate::support::Host;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn bare() -> Duration {
    let began = Instant::now();
    let mut command = Command::new("/bin/true");
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut bytes = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut bytes).unwrap();
    child.wait().unwrap();
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, to be run alone"]
async fn pace_of_one_caller() {
    let host = Arc::new(Host::new().await);
    let calls = tokio::spawn(async move {
        let (mut calls, mut bares) = (Vec::new(), Vec::new());
        for _ in 0..2000 {
            bares.push(bare());
            let plan = host.call(&["true"]).plan();
            let began = Instant::now();
            host.executor.run(plan, Vec::new(), Watch::default(), std::future::pending()).await.unwrap();
            calls.push(began.elapsed());
        }
        (median(calls), median(bares))
    });
    let (call, bare) = calls.await.unwrap();
    println!("call {call:?}, bare spawn {bare:?}, ratio {:.2}", call.as_secs_f64() / bare.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, to be run alone"]
async fn pace_of_eight_callers() {
    let host = Arc::new(Host::new().await);
    let began = Instant::now();
    let callers = (0..8).map(|_| {
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            for _ in 0..500 {
                host.call(&["true"]).run().await;
            }
        })
    });
    futures::future::join_all(callers).await;
    let calls = 4000.0 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..500).for_each(|_| _ = bare()));
        }
    });
    let bares = 4000.0 / began.elapsed().as_secs_f64();
    println!("8 callers: {calls:.0} calls/s, {bares:.0} bare spawns/s, ratio {:.2}", calls / bares);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, to be run alone"]
async fn pace_of_much_output() {
    let host = Host::new().await;
    let mut times = Vec::new();
    for size in SIZES {
        let began = Instant::now();
        let outcome = host.call(&["head", "-c", size, "/dev/zero"]).run().await;
        times.push(began.elapsed());
        assert_eq!(outcome.ended, kernos::exec::Ended::Exited(0));
    }
    println!(
        "this process at its peak, the executor: {} {}",
        peak("self"),
        peak(&host.executor.pid().to_string())
    );
    for (size, took) in SIZES.iter().zip(times) {
        let began = Instant::now();
        assert!(Command::new("head").args(["-c", size, "/dev/zero"]).output().unwrap().status.success());
        println!("{size} bytes: {took:?}; kept whole by a bare spawn: {:?}", began.elapsed());
    }
}

/// The first call of all is slower, so that its size comes twice.
const SIZES: [&str; 4] = ["524288", "524288", "67108864", "1073741824"];

fn peak(process: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    status.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned()
}

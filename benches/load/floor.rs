//! The floor under every command server: start the programs, read both pipes to their end, wait.
//!
//! `std::process::Command` uses `posix_spawn(3)` here, which is the fastest portable way to start a program.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use super::Settings;

/// Gives what runs the pipeline once.
pub fn call(settings: &Settings) -> Result<impl FnMut() -> Result<usize, String> + use<>, String> {
    let stages: Vec<Vec<String>> = settings.argv.split(|word| word == "|").map(<[_]>::to_vec).collect();
    if stages.iter().any(Vec::is_empty) {
        return Err("a stage without a program".to_owned());
    }
    Ok(move || run(&stages).map_err(|error| error.to_string()))
}

fn run(stages: &[Vec<String>]) -> std::io::Result<usize> {
    let mut children: Vec<Child> = Vec::with_capacity(stages.len());
    let mut stdin = Stdio::null();
    for (number, argv) in stages.iter().enumerate() {
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        stdin = match child.stdout.take_if(|_| number + 1 < stages.len()) {
            Some(stdout) => stdout.into(),
            None => Stdio::null(),
        };
        children.push(child);
    }
    let mut bytes = 0;
    let mut buffer = vec![0; 65536];
    for mut child in children {
        bytes += drain(child.stdout.take(), &mut buffer)?;
        bytes += drain(child.stderr.take(), &mut buffer)?;
        child.wait()?;
    }
    Ok(bytes)
}

fn drain(stream: Option<impl Read>, buffer: &mut [u8]) -> std::io::Result<usize> {
    let Some(mut stream) = stream else { return Ok(0) };
    let mut bytes = 0;
    loop {
        match stream.read(buffer)? {
            0 => return Ok(bytes),
            read => bytes += read,
        }
    }
}

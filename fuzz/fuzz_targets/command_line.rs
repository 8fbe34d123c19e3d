//! Any array of words is read or refused at one of them, and what is read is printed as words that read the same.
#![no_main]

use kernos::command::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|words: Vec<String>| {
    let count = words.len();
    match parse(words) {
        Ok(line) => {
            let printed = Vec::from(&line);
            assert_eq!(parse(printed), Ok(line));
        }
        Err(error) => assert!(error.at <= count, "{error}"),
    }
});

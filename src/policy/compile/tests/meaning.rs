//! Policies that would mean more than they say, or nothing: neither is sound.

use super::{FRAME, compiled, printed};

#[test]
fn a_list_that_is_empty_is_not_taken_for_one_that_was_left_out() {
    let frame = FRAME.replace("[server]", "[server]\nlisten = []");
    let text = format!("{frame}from = []\n[profile.dev]\n{CAN}[command.git]\nsub = {{}}\n");
    insta::assert_snapshot!(printed(&compiled(&text).diagnostics));
}

#[test]
fn an_empty_key_lets_nobody_in() {
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let text = format!(
        "{FRAME}[profile.dev]\n{CAN}[key.bob]\nsha256 = \"{nothing}\"\nprofile = \"dev\"\n\
         [key.eve]\nsha256 = \"{}\"\nprofile = \"dev\"\nprevious = {{ sha256 = \"{nothing}\", until = 2030-01-01 }}\n",
        "2".repeat(64)
    );
    insta::assert_snapshot!(printed(&compiled(&text).diagnostics));
}

#[test]
fn proxies_that_are_strangers_are_told() {
    let proxies = "proxies = [\"0.0.0.0/0\", \"::/0\", \"0.0.0.0/1\", \"10.0.0.0/7\", \"2000::/3\", \
        \"10.0.0.0/8\", \"fc00::/7\", \"192.0.2.7\"]";
    let frame = FRAME.replace("[server]", &format!("[server]\n{proxies}"));
    insta::assert_snapshot!(printed(&compiled(&format!("{frame}[profile.dev]\n{CAN}")).diagnostics));
}

/// What a profile needs to be of use.
const CAN: &str = "tools = [\"shell_execute\"]\ncommands = [\"ls\"]\nroots = { work = \"ro\" }\n";

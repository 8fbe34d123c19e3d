//! `kernos key`: makes keys and their digests. A policy holds digests only, so that reading it lets nobody in.

use std::io::{self, IsTerminal, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::exit::Error;
use super::{print, tell};
use crate::policy::KEY_BYTES_MIN;
use crate::vocab::Secret;

/// As many random bytes as SHA-256 has: guessing the key is no easier than guessing its digest.
const RANDOM_BYTES: usize = 32;

/// How long a line `key hash` reads: far above any key, and not without end.
const LINE_MAX: u64 = 4096;

/// How long a name may be: it is a field of every line of the record.
const NAME_MAX: usize = 64;

/// A new key: `kernos_` and 32 random bytes as text.
pub fn generate() -> Result<Secret, Error> {
    let mut bytes = [0_u8; RANDOM_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::System { doing: "draw random bytes for a key", source: error.into() })?;
    Ok(Secret::new(format!("kernos_{}", URL_SAFE_NO_PAD.encode(bytes))))
}

/// The digest of a key, as a policy holds it.
pub fn digest(key: &Secret) -> String {
    crate::vocab::hex(&key.sha256())
}

/// `kernos key new NAME`: the key once, and its table for a policy file.
pub fn new(name: &str) -> Result<(), Error> {
    checked(name)?;
    let key = generate()?;
    let shown = format!("# The key of {name}, shown only this once:\n#   {}\n", key.expose());
    let written = |source| Error::System { doing: "write the key", source };
    let mut stdout = io::stdout().lock();
    // The key never goes into the file that the table is appended to.
    if stdout.is_terminal() {
        stdout.write_all(shown.as_bytes())
    } else {
        io::stderr().write_all(shown.as_bytes())
    }
    .map_err(written)?;
    stdout.write_all(table(name, &digest(&key)).as_bytes()).map_err(written)
}

/// `kernos key hash`: the digest of the key on standard input.
pub fn hash() -> Result<(), Error> {
    let failed = |source| Error::System { doing: "read the key from standard input", source };
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        tell("Type the key, then Enter and Ctrl-D (it is shown while you type):\n");
    }
    let mut text = String::new();
    stdin.take(LINE_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    print(&format!("{}\n", digest(&one_line(&text)?)))
}

fn table(name: &str, digest: &str) -> String {
    format!(
        "\n[key.{name}]\nsha256 = \"{digest}\"\nprofile = \"default\"   # which [profile.NAME] of the policy the key gets\n"
    )
}

/// The name becomes a bare key of TOML and a field of the record.
fn checked(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{name:?} is no name for a key: it takes 1 to {NAME_MAX} letters, digits, `-` and `_`, for example `alice`"
    )))
}

fn one_line(text: &str) -> Result<Secret, Error> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line {
        _ if text.len() as u64 > LINE_MAX => {
            Err(Error::Usage(format!("more than {LINE_MAX} bytes came on standard input: a key is shorter")))
        }
        "" => Err(Error::Usage("no key came on standard input: `kernos key hash < FILE`".to_owned())),
        _ if line.contains('\n') => {
            Err(Error::Usage("more than one line came on standard input: a key is one line".to_owned()))
        }
        _ if line.len() < KEY_BYTES_MIN => Err(Error::Usage(format!(
            "the key is shorter than {KEY_BYTES_MIN} bytes: whoever reads its digest can find it by trying; `kernos key \
             new NAME` makes a long one"
        ))),
        _ => Ok(Secret::new(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_random_bytes_behind_its_prefix() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        let bytes = URL_SAFE_NO_PAD.decode(one.expose().strip_prefix("kernos_").unwrap()).unwrap();
        assert_eq!(bytes.len(), 32);
        assert!(one != two);
    }

    #[test]
    fn the_digest_is_sha256_in_hex() {
        assert_eq!(
            digest(&Secret::new("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn the_table_is_toml() {
        let table: toml::Table = table("alice", "00").parse().unwrap();
        assert_eq!(table["key"]["alice"]["sha256"].as_str(), Some("00"));
    }

    #[test]
    fn a_name_that_toml_would_read_otherwise_is_refused() {
        assert!(checked("alice-2_b").is_ok());
        for name in ["", "a b", "a.b", "a\"", "ä", &"a".repeat(65)] {
            assert!(checked(name).is_err(), "{name}");
        }
    }

    #[test]
    fn one_line_is_hashed_without_its_end() {
        let key = "k".repeat(KEY_BYTES_MIN);
        assert!(one_line(&format!("{key}\r\n")).unwrap() == Secret::new(&key));
        assert!(one_line(&format!(" {key}")).unwrap() == Secret::new(format!(" {key}")));
        assert!(one_line(&format!("{}\n", &key[1..])).is_err());
        assert!(one_line("\n").is_err());
        assert!(one_line("a\nb\n").is_err());
        assert!(one_line(&"k".repeat(4096)).is_ok());
        assert!(one_line(&"k".repeat(4097)).is_err());
    }
}

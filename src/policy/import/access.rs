//! `[key.NAME]` or `[anonymous]`: who may come. Keys become digests here, and are not in the policy.

use std::collections::BTreeMap;

use super::PROFILE;
use super::draft::Draft;
use super::settings::{Setting, Settings};
use crate::policy::access::KEY_BYTES_MIN;
use crate::vocab::{Secret, hex};

const KEYS: &str = "KERNOS_API_KEYS";

/// Whether the predecessor asked its callers for a key.
pub(super) fn has_keys(settings: &Settings) -> bool {
    settings.find(KEYS).is_some_and(|setting| setting.parts().next().is_some())
}

pub(super) fn write(settings: &Settings, draft: &mut Draft) {
    match settings.find(KEYS) {
        Some(setting) if has_keys(settings) => keys(setting, draft),
        _ => anonymous(draft),
    }
}

fn keys(setting: &Setting, draft: &mut Draft) {
    let mut seen: BTreeMap<[u8; 32], usize> = BTreeMap::new();
    for (place, part) in (1..).zip(setting.parts()) {
        let key = Secret::new(part);
        draft.gap();
        if let Some(first) = seen.get(&key.sha256()) {
            draft.tell(setting, format!("Key {place} of {KEYS} is key {first} once more, and left out."));
            continue;
        }
        seen.insert(key.sha256(), place);
        draft.comment(format!("Key {place} of {KEYS}: its digest. The key itself is not in this file."));
        for flaw in flaws(key.expose()) {
            let another = format!("`kernos key new key{place}` makes another.");
            draft.tell(setting, format!("Key {place} {flaw} {another}"));
        }
        draft.line(format!("[key.key{place}]"));
        draft.line(format!("sha256 = \"{}\"", hex(&key.sha256())));
        draft.line(format!("profile = \"{PROFILE}\""));
    }
}

/// What a person should know of a key, as the rest of a sentence that begins with its number.
fn flaws(key: &str) -> impl Iterator<Item = String> {
    let is_short = key.len() < KEY_BYTES_MIN;
    let is_unfit = !key.bytes().all(|byte| byte.is_ascii_graphic());
    let short =
        format!("is shorter than {KEY_BYTES_MIN} bytes: whoever reads its digest can find it by trying.");
    let unfit = "has characters that a header cannot carry, or blanks: nobody can present it.".to_owned();
    let reference =
        "holds `${…}` as it stands: where dotenv put a value in its place, this is not the key that was \
         meant, and whoever knows the file has one."
            .to_owned();
    let flaws = [(is_short, short), (is_unfit, unfit), (key.contains("${"), reference)];
    flaws.into_iter().filter_map(|(is, flaw)| is.then_some(flaw))
}

fn anonymous(draft: &mut Draft) {
    draft.gap();
    draft.tell_of_none(format!(
        "{KEYS} has no key, which was open access. Here it is open to callers of this host alone, since kernos \
         listens at loopback. `kernos key new NAME` prints a key once, and a table to put in the place of this one."
    ));
    draft.line("[anonymous]");
    draft.line(format!("profile = \"{PROFILE}\""));
}

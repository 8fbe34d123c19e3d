//! `[key.NAME]` or `[anonymous]`: who may come. Keys become digests here, and are not in the policy.

use std::collections::BTreeMap;

use super::PROFILE;
use super::draft::Draft;
use super::settings::{Setting, Settings};
use crate::vocab::{Secret, hex};

/// As for a key that is a credential: shorter ones are found by trying, once somebody has read the digest.
const LENGTH_MIN: usize = 16;

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
        if key.expose().len() < LENGTH_MIN {
            let text = format!(
                "Key {place} is shorter than {LENGTH_MIN} bytes: whoever reads its digest can find it by trying. \
                 `kernos key new key{place}` makes another."
            );
            draft.tell(setting, text);
        }
        if !key.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            let text = format!(
                "Key {place} has characters that a header cannot carry, or blanks: nobody can present it. \
                 `kernos key new key{place}` makes another."
            );
            draft.tell(setting, text);
        }
        draft.line(format!("[key.key{place}]"));
        draft.line(format!("sha256 = \"{}\"", hex(&key.sha256())));
        draft.line(format!("profile = \"{PROFILE}\""));
    }
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

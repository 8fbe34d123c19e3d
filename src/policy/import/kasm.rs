//! `[kasm]`, as a comment: a policy is refused while a secret that it names is not there, and secrets are not copied.

use super::draft::{Draft, list, quoted};
use super::settings::{Setting, Settings};
use crate::policy::compile::is_kasm_id;
use crate::vocab::AbsPath;

/// What the file says of Kasm.
pub(super) struct Kasm<'s> {
    url: Option<&'s Setting>,
    user: Option<&'s Setting>,
    roots: Option<&'s Setting>,
    /// Roots that are set and do not count.
    ignored: Option<&'s Setting>,
}

impl<'s> Kasm<'s> {
    /// What the file says, if it is a file of the Kasm server at all.
    pub(super) fn find(settings: &'s Settings) -> Option<Self> {
        let url = settings.find("KASM_API_URL");
        let user = settings.find("KASM_USER_ID");
        let (current, former) = (settings.find("KASM_ALLOWED_ROOTS"), settings.find("ALLOWED_ROOTS"));
        let secrets = [settings.find("KASM_API_KEY"), settings.find("KASM_API_SECRET")];
        let is_kasm = [url, user, current].iter().chain(&secrets).any(Option::is_some);
        let roots = current.or(former);
        let ignored = former.filter(|_| current.is_some());
        is_kasm.then_some(Self { url, user, roots, ignored })
    }

    pub(super) fn write(&self, draft: &mut Draft) {
        draft.gap();
        draft.tell_of_none(
            "[kasm] is a comment: this version has no tool that uses it, and a policy is refused while a secret \
             that it names is not there. The secrets are not copied. To use it, write the values of KASM_API_KEY \
             and KASM_API_SECRET into the two files, which belong to root with mode 0600, and take one `# ` from \
             each line below. (Under systemd { credential = \"NAME\" } is better: docs/policy.md.)",
        );
        let url = self.url(draft);
        let user = self.user(draft);
        let roots = self.roots(draft);
        draft.line("#");
        for line in table(&url, user.as_deref(), &roots).lines() {
            draft.line(format!("# {line}"));
        }
    }

    fn url(&self, draft: &mut Draft) -> String {
        const EXAMPLE: &str = "https://kasm.example.com";
        let Some(setting) = self.url else { return EXAMPLE.to_owned() };
        let url = setting.value.trim();
        let is_address = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
        // A password before the `@`, or a token behind the `?`, is no part of an address.
        if is_address && !url.contains(['@', '?', '#']) && !url.chars().any(char::is_whitespace) {
            return url.to_owned();
        }
        draft.tell(
            setting,
            "KASM_API_URL is no plain address (https://HOST): an example stands in its place.",
        );
        EXAMPLE.to_owned()
    }

    fn user(&self, draft: &mut Draft) -> Option<String> {
        let setting = self.user?;
        let id = setting.value.trim();
        if is_kasm_id(id) {
            return Some(id.to_owned());
        }
        draft.tell(setting, "KASM_USER_ID is no id of Kasm, 32 hexadecimal digits: it is left out.");
        None
    }

    fn roots(&self, draft: &mut Draft) -> Vec<String> {
        if let Some(setting) = self.ignored {
            draft.tell(
                setting,
                "ALLOWED_ROOTS is of former versions of the predecessor: KASM_ALLOWED_ROOTS counts.",
            );
        }
        let Some(setting) = self.roots else { return Vec::new() };
        draft.tell(
            setting,
            format!(
                "{}: places in a Kasm session, as they were before; never directories of this host. Those are \
                 [root.NAME].",
                setting.name
            ),
        );
        let (absolute, others): (Vec<&str>, Vec<&str>) =
            setting.parts().partition(|path| path.starts_with('/'));
        if !others.is_empty() {
            draft.tell(setting, format!("{}: paths that are not absolute are left out.", setting.name));
        }
        absolute.iter().filter_map(|path| AbsPath::parse(path).ok()).map(|path| path.to_string()).collect()
    }
}

/// The table. What is unsaid in it has the default of kernos.
fn table(url: &str, user: Option<&str>, roots: &[String]) -> String {
    let user = user.map(|id| format!("user_id = {}\n", quoted(id))).unwrap_or_default();
    let roots = match roots {
        [] => String::new(),
        roots => format!("roots = {}\n", list(roots.iter().map(String::as_str))),
    };
    format!(
        "[kasm]\nurl = {}\napi_key = {{ file = \"/etc/kernos/kasm-key\" }}\n\
         api_secret = {{ file = \"/etc/kernos/kasm-secret\" }}\n{user}{roots}",
        quoted(url)
    )
}

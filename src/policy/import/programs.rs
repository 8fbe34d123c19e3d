//! `[environment]` and the root: where programs are looked up, what they are told, and where they run.

use super::draft::{Draft, list, named, quoted};
use super::settings::{Setting, Settings};

/// `DEFAULT_SAFE_PATH` of mcp-shell-server 1.1.14: where it looked for programs, whatever its own `PATH` was.
const SAFE_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

const ALLOWLIST: &str = "MCP_SHELL_CHILD_ENV_ALLOWLIST";

/// Writes the tables, and gives the search path.
pub(super) fn write(settings: &Settings, draft: &mut Draft) -> String {
    let delegated = delegated(settings);
    let safe_path = settings.find("MCP_SHELL_SAFE_PATH");
    // It handed its own PATH on where the list names it, and that came before the safe one.
    let own_path = delegated.contains(&"PATH").then(|| settings.find("PATH")).flatten();
    let path = own_path.or(safe_path).map_or(SAFE_PATH, |setting| setting.value.trim());
    draft.gap();
    draft.comment(
        "Programs are looked up here when the policy is loaded, and never later. Commands get these variables, HOME \
         and TMPDIR; the predecessor set PATH alone.",
    );
    draft.line("[environment]");
    // What is set wins over what is passed.
    let lang = if delegated.contains(&"LANG") { "" } else { ", LANG = \"C.UTF-8\"" };
    draft.line(format!("set = {{ PATH = {}{lang} }}", quoted(path)));
    if let (true, None, Some(setting)) = (delegated.contains(&"PATH"), own_path, allowlist(settings)) {
        let text =
            format!("{ALLOWLIST} names PATH, so the predecessor searched its own; the file does not say it.");
        draft.tell(setting, text);
    }
    pass(settings, &delegated, draft);
    draft.gap();
    draft.comment(
        "The predecessor ran commands in any directory that its user could enter, and without `directory` where it \
         was started itself. A key of kernos has places: this one is for a beginning. Give each that is needed a \
         [root.NAME], and name it under `roots` below.",
    );
    draft.line("[root.tmp]");
    draft.line("path = \"/tmp\"");
    path.to_owned()
}

fn allowlist(settings: &Settings) -> Option<&Setting> {
    settings.find(ALLOWLIST)
}

/// The variables that the predecessor handed on from its own environment; it ignored what is no name.
fn delegated(settings: &Settings) -> Vec<&str> {
    let Some(setting) = allowlist(settings) else { return Vec::new() };
    let is_name = |name: &&str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    setting.parts().filter(is_name).collect()
}

fn pass(settings: &Settings, delegated: &[&str], draft: &mut Draft) {
    let mut names: Vec<&str> = delegated.iter().copied().filter(|name| *name != "PATH").collect();
    names.sort_unstable();
    names.dedup();
    let Some(setting) = allowlist(settings).filter(|_| !names.is_empty()) else { return };
    let here: Vec<&str> = names.iter().copied().filter(|name| settings.has(name)).collect();
    if here.is_empty() {
        draft.comment("Handed on from the environment of kernos where they are set there.");
    } else {
        let text = format!(
            "{} names variables that the file itself sets ({}): their values are not in this policy. Put them into \
             the environment of kernos, or write those that are no secrets under `set`.",
            setting.name,
            named(here.iter().copied()),
        );
        draft.tell(setting, text);
    }
    draft.line(format!("pass = {}", list(names)));
}

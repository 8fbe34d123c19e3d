//! `[server]` and `[log]`: where the predecessor listened, and what it said of itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::draft::{Draft, quoted};
use super::settings::{Setting, Settings};
use crate::policy::host::Host;

/// The port of kernos itself.
const PORT: u16 = 22021;

/// The users of an installation as the README describes it.
const USERS: [&str; 2] = ["kernos", "kernos-run"];
/// Those of the default policy: numbers that are nobody's, and that can be taken without being made.
const NOBODIES: [u32; 2] = [60901, 60902];

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) fn write(settings: &Settings, host: &dyn Host, has_keys: bool, draft: &mut Draft) {
    draft.gap();
    draft.line("[server]");
    listen(settings, has_keys, draft);
    users(host, draft);
    if let Some(label) = settings.first(&["KERNOS_ENVIRONMENT"]) {
        draft.line(format!("environment = {}", quoted(label.value.trim())));
    }
    draft.comment(
        "This version does not hold commands by the kernel, and \"require\" would be refused. The predecessors held \
         nothing either. `kernos check` and /ready list what is not held.",
    );
    draft.line("sandbox = \"best-effort\"");
}

fn listen(settings: &Settings, has_keys: bool, draft: &mut Draft) {
    let host = settings.first(&["MCP_SERVER_HOST", "KERNOS_HOST"]);
    let port = settings.first(&["MCP_SERVER_PORT", "KERNOS_PORT"]);
    let port = port_of(port, draft);
    let address = match host {
        None => LOOPBACK,
        Some(setting) => address_of(setting, has_keys, draft),
    };
    draft.line(format!("listen = [\"{}\"]", SocketAddr::new(address, port)));
    if !address.to_canonical().is_loopback() {
        draft.comment(
            "Requests are answered only under loopback, an address that is written above (but 0.0.0.0 and ::), or a \
             name of this list: add what clients call.",
        );
        draft.line("hosts = []");
    }
}

fn port_of(setting: Option<&Setting>, draft: &mut Draft) -> u16 {
    let Some(setting) = setting else { return PORT };
    setting.value.trim().parse().unwrap_or_else(|_| {
        draft.tell(setting, format!("{} is no port: this is the one of kernos.", setting.name));
        PORT
    })
}

fn address_of(setting: &Setting, has_keys: bool, draft: &mut Draft) -> IpAddr {
    let Setting { name, value, .. } = setting;
    let written = value.trim().trim_start_matches('[').trim_end_matches(']');
    match written.parse::<IpAddr>() {
        _ if written.eq_ignore_ascii_case("localhost") => LOOPBACK,
        Err(_) => {
            let text = format!(
                "{name} is a name, and kernos listens at addresses: this is loopback. Write the address that is \
                 meant, and the name under `hosts`."
            );
            draft.tell(setting, text);
            LOOPBACK
        }
        Ok(address) if address.to_canonical().is_loopback() => address,
        Ok(_) if !has_keys => {
            let text = format!(
                "{name} was an address that others reach, and without keys everybody could call. This is loopback. \
                 To let others in: `kernos key new NAME`, its table in the place of [anonymous], then the address \
                 here."
            );
            draft.tell(setting, text);
            LOOPBACK
        }
        Ok(address) => {
            let text = format!(
                "{name} is kept: others reach this address, and over plain HTTP keys and answers cross the network \
                 in the clear. Write `tls` here, put a proxy in front that ends TLS, or listen at 127.0.0.1."
            );
            draft.tell(setting, text);
            address
        }
    }
}

fn users(host: &dyn Host, draft: &mut Draft) {
    let accounts = USERS.map(|name| host.account(name).ok().filter(|one| one.uid != 0 && one.gid != 0));
    if let [Some(daemon), Some(executor)] = accounts
        && daemon.uid != executor.uid
    {
        draft.comment("Started as root, kernos serves as the first and runs commands as the second.");
        draft.line(format!("user = {}", quoted(USERS[0])));
        draft.line(format!("run_as = {}", quoted(USERS[1])));
        return;
    }
    draft.comment(
        "Started as root, kernos serves as the first and runs commands as the second. The predecessors had one user \
         for both. These numbers are nobody's. For users with names: `useradd --system --shell /usr/sbin/nologin \
         kernos`, the same for kernos-run, and the two names here.",
    );
    draft.line(format!("user = {}", NOBODIES[0]));
    draft.line(format!("run_as = {}", NOBODIES[1]));
}

/// Python's names for what kernos calls otherwise.
const LEVELS: [(&str, &str); 9] = [
    ("DEBUG", "debug"),
    ("NOTSET", "debug"),
    ("TRACE", "trace"),
    ("INFO", "info"),
    ("WARNING", "warn"),
    ("WARN", "warn"),
    ("ERROR", "error"),
    ("CRITICAL", "error"),
    ("FATAL", "error"),
];

pub(super) fn write_log(settings: &Settings, draft: &mut Draft) {
    let level = settings.first(&["LOG_LEVEL", "KERNOS_LOG_LEVEL"]);
    let format = settings.first(&["KERNOS_LOG_FORMAT", "LOG_FORMAT"]);
    if level.is_none() && format.is_none() {
        return;
    }
    draft.gap();
    draft.line("[log]");
    if let Some(setting) = level {
        let written = setting.value.trim();
        let found = LEVELS.iter().find(|(word, _)| word.eq_ignore_ascii_case(written));
        if found.is_none() {
            draft.tell(setting, format!("{} is no level: this is the usual one.", setting.name));
        }
        draft.line(format!("level = \"{}\"", found.map_or("info", |(_, level)| level)));
    }
    if let Some(setting) = format {
        let written = setting.value.trim().to_ascii_lowercase();
        let found = ["auto", "journald", "text", "json"].into_iter().find(|format| *format == written);
        if found.is_none() {
            let text = format!("{} is no format of kernos: this one suits where it runs.", setting.name);
            draft.tell(setting, text);
        }
        draft.line(format!("format = \"{}\"", found.unwrap_or("auto")));
    }
}

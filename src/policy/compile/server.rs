//! `[server]` and `[log]`.

use std::net::SocketAddr;

use ipnet::IpNet;
use toml::Spanned;

use super::Compiler;
use crate::policy::document::{
    Choice, Field, FromValue, HostName, NameOrNumber, OneOrMany, Table, WebOrigin,
};
use crate::policy::host::Account;
use crate::policy::tls::Tls;

/// Where kernos listens, as whom it runs, and whom it believes.
#[derive(Clone, Debug)]
pub struct Server {
    /// The addresses.
    pub listen: Vec<Listen>,
    /// The user that the daemon drops to; `None` where it was not started as root.
    pub daemon: Option<Account>,
    /// The user of the executor and of every command; `None` where the daemon was not started as root.
    pub executor: Option<Account>,
    /// `Host` headers that are accepted besides loopback, without ports.
    pub hosts: Vec<String>,
    /// Origins that browsers may call from.
    pub origins: Vec<String>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpNet>,
    /// A label for logs and metrics.
    pub environment: Option<String>,
    /// How much must be held by the kernel.
    pub sandbox: Sandbox,
    /// What listeners prove themselves with; `None` where they speak in the clear.
    pub tls: Option<Tls>,
}

/// One address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// This address.
    Address(SocketAddr),
    /// The sockets that systemd passes (`sd_listen_fds(3)`).
    Systemd,
}

/// How much must be held by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// All that the policy says, or kernos does not start.
    Require,
    /// As much as can be; the rest is reported.
    BestEffort,
    /// Nothing.
    Off,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is logged.
    pub level: tracing::Level,
    /// In which form.
    pub format: LogFormat,
    /// Whether a call that cannot be recorded is refused.
    pub required: bool,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// journald under systemd, text on a terminal, JSON otherwise.
    Auto,
    /// journald's own protocol.
    Journald,
    /// Lines for people, on standard error.
    Text,
    /// One JSON object a line, on standard error.
    Json,
}

impl Choice for Sandbox {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("require", Self::Require), ("best-effort", Self::BestEffort), ("off", Self::Off)];
}

impl Choice for LogFormat {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("journald", Self::Journald), ("text", Self::Text), ("json", Self::Json)];
}

impl Choice for tracing::Level {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("error", Self::ERROR),
        ("warn", Self::WARN),
        ("info", Self::INFO),
        ("debug", Self::DEBUG),
        ("trace", Self::TRACE),
    ];
}

impl FromValue for Listen {
    fn from_value(value: &Spanned<toml::de::DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        match value.get_ref().as_str() {
            Some("systemd") => Some(Self::Systemd),
            _ => SocketAddr::from_value(value, field).map(Self::Address),
        }
    }
}

impl Listen {
    /// Whether only this host can reach it; unknown, and so false, for a passed socket.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Address(address) if address.ip().to_canonical().is_loopback())
    }
}

impl Server {
    /// The users that kernos runs as.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.daemon.iter().chain(&self.executor)
    }
}

impl Sandbox {
    /// As the policy writes it.
    pub fn symbol(self) -> &'static str {
        Self::CHOICES.iter().find(|(_, one)| *one == self).map_or("", |(word, _)| word)
    }
}

impl Compiler<'_> {
    pub(super) fn server(&self, top: &Table<'_, '_>) -> Option<Server> {
        let Some(table) = top.table("server") else {
            if top.place("server").is_none() {
                let remedy = "write [server] with `sandbox` and, as root, two users";
                self.notes.error(&(0..0), "there is no [server]", remedy);
            }
            return None;
        };
        let listen = self.listen(&table);
        let (daemon, executor) = self.users(&table);
        let sandbox = self.sandbox(&table);
        let tls = self.tls(&table);
        let hosts = table.read::<Vec<Spanned<HostName>>>("hosts").unwrap_or_default();
        let origins = table.read::<Vec<Spanned<WebOrigin>>>("origins").unwrap_or_default();
        let server = Server {
            listen,
            daemon,
            executor,
            hosts: hosts.into_iter().map(|host| host.into_inner().0).collect(),
            origins: origins.into_iter().map(|origin| origin.into_inner().0).collect(),
            proxies: self.proxies(&table),
            environment: table.read("environment"),
            sandbox,
            tls,
        };
        table.finish();
        Some(server)
    }

    fn listen(&self, table: &Table<'_, '_>) -> Vec<Listen> {
        let default = Listen::Address(SocketAddr::from(([127, 0, 0, 1], 22021)));
        let Some(OneOrMany(listen)) = table.read::<OneOrMany<Listen>>("listen") else { return vec![default] };
        if let Some(span) = table.empty("listen") {
            self.notes.error(&span, "`server.listen` is empty", "for example [\"127.0.0.1:22021\"]");
        }
        let in_the_clear = |address: &&Spanned<Listen>| {
            matches!(address.get_ref(), Listen::Address(_)) && !address.get_ref().is_local()
        };
        for address in listen.iter().filter(|_| table.place("tls").is_none()).filter(in_the_clear) {
            self.notes.warning(
                &address.span(),
                "keys and answers cross the network in the clear at this address",
                "write `tls` under [server], or listen at 127.0.0.1 behind a proxy that ends TLS",
            );
        }
        listen.into_iter().map(Spanned::into_inner).collect()
    }

    fn proxies(&self, table: &Table<'_, '_>) -> Vec<IpNet> {
        let proxies = table.read::<Vec<Spanned<IpNet>>>("proxies").unwrap_or_default();
        for network in proxies.iter().filter(|network| is_wider_than_any_private(*network.get_ref())) {
            self.notes.warning(
                &network.span(),
                format!(
                    "`{}` believes strangers: whoever calls from there chooses the address it seems to call from",
                    network.get_ref()
                ),
                "list the addresses of the proxies themselves",
            );
        }
        proxies.into_iter().map(Spanned::into_inner).collect()
    }

    fn users(&self, table: &Table<'_, '_>) -> (Option<Account>, Option<Account>) {
        let user = table.take::<NameOrNumber>("user");
        let run_as = table.take::<NameOrNumber>("run_as");
        if self.host.unprivileged().is_some() {
            return (None, None);
        }
        let lookup = |named: Option<Spanned<NameOrNumber>>, key: &str, example: &str| {
            let Some(named) = named else {
                let message = format!("`server.{key}` is needed, because kernos is started as root");
                self.notes.error(&table.span, message, format!("for example {key} = \"{example}\""));
                return None;
            };
            match self.host.account(&named.get_ref().0) {
                Ok(account) if account.uid == 0 || account.gid == 0 => {
                    let message = format!("`server.{key}` is root, or of its group");
                    self.notes.error(&named.span(), message, "name a user of its own");
                    None
                }
                Ok(account) => Some((account, named.span())),
                Err(missing) => {
                    self.notes.error(&named.span(), format!("`server.{key}`: {missing}"), "");
                    None
                }
            }
        };
        let (daemon, executor) = (lookup(user, "user", "kernos"), lookup(run_as, "run_as", "kernos-run"));
        if let (Some((daemon, _)), Some((executor, span))) = (&daemon, &executor)
            && daemon.uid == executor.uid
        {
            self.notes.error(
                span,
                "`run_as` is the same user as `user`",
                "commands need a user of their own",
            );
        }
        (daemon.map(|(account, _)| account), executor.map(|(account, _)| account))
    }

    /// Until the kernel holds roots and programs, a policy must say that it accepts less.
    fn sandbox(&self, table: &Table<'_, '_>) -> Sandbox {
        let written = table.take::<Sandbox>("sandbox");
        let span = match &written {
            Some(sandbox) if *sandbox.get_ref() != Sandbox::Require => return *sandbox.get_ref(),
            None if table.place("sandbox").is_some() => return Sandbox::Require,
            Some(sandbox) => sandbox.span(),
            None => table.span.clone(),
        };
        let said = if written.is_some() { "" } else { ", which is the default," };
        self.notes.error(
            &span,
            format!("`sandbox = \"require\"`{said} cannot be held: this version does not confine commands by the kernel"),
            "write sandbox = \"best-effort\" to accept that; `kernos check` and /ready list what is not held",
        );
        Sandbox::Require
    }
}

/// Whether no site can have all of it to itself: the widest private networks are `10.0.0.0/8` (RFC 1918) and `fc00::/7`
/// (RFC 4193).
fn is_wider_than_any_private(network: IpNet) -> bool {
    let widest = if network.addr().is_ipv4() { 8 } else { 7 };
    network.prefix_len() < widest
}

pub(super) fn log(top: &Table<'_, '_>) -> Log {
    let default = Log { level: tracing::Level::INFO, format: LogFormat::Auto, required: true };
    let Some(table) = top.table("log") else { return default };
    let log = Log {
        level: table.read("level").unwrap_or(default.level),
        format: table.read("format").unwrap_or(default.format),
        required: table.read("required").unwrap_or(default.required),
    };
    table.finish();
    log
}

//! `[key.NAME]` and `[anonymous]`: who may come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;
use toml::Spanned;

use super::{Compiler, Server};
use crate::policy::access::{Access, Anonymous, Digest, KEY_BYTES_MIN, Key, Principal};
use crate::policy::document::{Digest256, Table, suggestion};
use crate::policy::grant::Grant;

impl Compiler<'_> {
    pub(super) fn access(
        &self,
        top: &Table<'_, '_>,
        profiles: &BTreeMap<String, Arc<Grant>>,
        server: Option<&Server>,
    ) -> Option<Access> {
        let tables = top.tables("key");
        let written = tables.len();
        let keys: Vec<Key> =
            tables.iter().filter_map(|(name, table)| self.key(name, table, profiles)).collect();
        self.duplicates(&tables, &keys);
        match top.table("anonymous") {
            Some(table) => {
                self.anonymous(&table, profiles, server).map(|anonymous| Access::Open { anonymous, keys })
            }
            None if written == 0 => {
                self.notes.error(
                    &(0..0),
                    "nobody may come: there is no [key.NAME]",
                    "`kernos key new NAME` prints a key once and its table; open access is written as [anonymous]",
                );
                None
            }
            None => Some(Access::Keyed(keys)),
        }
    }

    fn key(
        &self,
        name: &Spanned<String>,
        table: &Table<'_, '_>,
        profiles: &BTreeMap<String, Arc<Grant>>,
    ) -> Option<Key> {
        let current = self.current_digest(table);
        let previous = table.table("previous").and_then(|previous| {
            let digest = previous.read::<Digest256>("sha256");
            let until = previous.take::<SystemTime>("until");
            previous.finish();
            if (digest.is_none() && previous.place("sha256").is_none())
                || (until.is_none() && previous.place("until").is_none())
            {
                let message = format!("[{}] needs `sha256` and `until`", previous.path);
                self.notes.error(&previous.span, message, "say until when the old key still counts");
            }
            let until = until?;
            self.passed(&until, &previous.path, "the new one is accepted alone: take this table out");
            Some(Digest { sha256: digest?.0, until: Some(until.into_inner()) })
        });
        let expires = table.take::<SystemTime>("expires");
        if let Some(expires) = &expires {
            let remedy = "it is refused as a wrong key is: write a later date, or take the key out";
            self.passed(expires, &table.path, remedy);
        }
        let from = self.sources(table);
        let grant = self.profile(table, profiles);
        table.finish();
        let current = Digest { sha256: current?, until: None };
        let name: Arc<str> = name.get_ref().as_str().into();
        Some(Key {
            principal: Principal { name, grant: grant?, shown: None },
            digests: std::iter::once(current).chain(previous).collect(),
            expires: expires.map(Spanned::into_inner),
            from,
        })
    }

    /// The networks that a key may be used from; none for all, so that an empty list cannot be one.
    fn sources(&self, table: &Table<'_, '_>) -> Vec<IpNet> {
        if let Some(span) = table.empty("from") {
            let message = format!("`{}.from` is empty, which lets nobody in", table.path);
            self.notes.error(&span, message, "leave it out for any address, or list networks");
        }
        let from = table.read::<Vec<Spanned<IpNet>>>("from").unwrap_or_default();
        from.into_iter().map(Spanned::into_inner).collect()
    }

    /// A key that nobody can use any more: the same file was sound yesterday, so that it is no mistake.
    fn passed(&self, end: &Spanned<SystemTime>, path: &str, remedy: &str) {
        if *end.get_ref() <= self.host.now()
            && let Ok(end_of_it) = jiff::Timestamp::try_from(*end.get_ref())
        {
            self.notes.warning(&end.span(), format!("[{path}] has expired: it ended at {end_of_it}"), remedy);
        }
    }

    fn current_digest(&self, table: &Table<'_, '_>) -> Option<[u8; 32]> {
        let digest = table.read::<Digest256>("sha256");
        let credential = table.take::<String>("credential");
        match (table.place("sha256"), credential) {
            (Some(_), None) => digest.map(|Digest256(digest)| digest),
            (None, Some(credential)) => match self.host.credential(credential.get_ref()) {
                Ok(secret) if secret.expose().len() < KEY_BYTES_MIN => {
                    let message =
                        format!("the key in the credential `{}` is too short", credential.get_ref());
                    self.notes.error(&credential.span(), message, "`kernos key new NAME` makes a long one");
                    None
                }
                Ok(secret) => Some(secret.sha256()),
                Err(missing) => {
                    let remedy = "hand it over by LoadCredential= of the unit";
                    self.notes.error(&credential.span(), missing.0, remedy);
                    None
                }
            },
            (both, _) => {
                let message = match both {
                    Some(_) => format!("[{}] has both `sha256` and `credential`", table.path),
                    None => format!("[{}] has neither `sha256` nor `credential`", table.path),
                };
                self.notes.error(&table.span, message, "`kernos key new NAME` prints a table with `sha256`");
                None
            }
        }
    }

    fn anonymous(
        &self,
        table: &Table<'_, '_>,
        profiles: &BTreeMap<String, Arc<Grant>>,
        server: Option<&Server>,
    ) -> Option<Anonymous> {
        let remote = table.read::<bool>("remote").unwrap_or(false);
        let grant = self.profile(table, profiles);
        table.finish();
        if !remote && server.is_some_and(|server| server.listen.iter().any(|address| !address.is_local())) {
            self.notes.error(
                &table.span,
                "open access on an address that others can reach",
                "listen at 127.0.0.1 only, or write remote = true if everybody may come",
            );
        }
        self.notes.warning(&table.span, "whoever reaches the address may call without a key", "");
        Some(Anonymous {
            principal: Principal { name: "anonymous".into(), grant: grant?, shown: None },
            remote,
        })
    }

    fn profile(&self, table: &Table<'_, '_>, profiles: &BTreeMap<String, Arc<Grant>>) -> Option<Arc<Grant>> {
        let Some(named) = table.take::<String>("profile") else {
            if table.place("profile").is_none() {
                let remedy = suggestion("", profiles.keys().map(String::as_str));
                self.notes.error(&table.span, format!("[{}] has no `profile`", table.path), remedy);
            }
            return None;
        };
        let found = profiles.get(named.get_ref()).cloned();
        if found.is_none() {
            let remedy = suggestion(named.get_ref(), profiles.keys().map(String::as_str));
            self.notes.error(&named.span(), format!("there is no [profile.{}]", named.get_ref()), remedy);
        }
        found
    }

    fn duplicates(&self, tables: &[(Spanned<String>, Table<'_, '_>)], keys: &[Key]) {
        for (name, table) in tables {
            if name.get_ref() == "anonymous" {
                self.notes.error(&table.span, "`anonymous` cannot be the name of a key", "choose another");
            }
        }
        for (index, key) in keys.iter().enumerate() {
            for other in &keys[..index] {
                if key
                    .digests
                    .iter()
                    .any(|digest| other.digests.iter().any(|one| one.sha256 == digest.sha256))
                {
                    let name = key.principal.name();
                    let span = tables
                        .iter()
                        .find(|(one, _)| one.get_ref() == name)
                        .map_or(0..0, |(one, _)| one.span());
                    let message =
                        format!("[key.{name}] has the same key as [key.{}]", other.principal.name());
                    self.notes.error(&span, message, "`kernos key new NAME` makes another");
                }
            }
        }
    }
}

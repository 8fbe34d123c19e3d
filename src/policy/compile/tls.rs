//! `[server.tls]`: the files are read and tried while the policy is compiled, so that nothing can be wrong with them
//! later.

use std::ops::Range;

use toml::Spanned;

use super::Compiler;
use crate::policy::document::Table;
use crate::policy::tls::{Finding, Pem, Tls, TlsPart};
use crate::vocab::AbsPath;

impl Compiler<'_> {
    pub(super) fn tls(&self, server: &Table<'_, '_>) -> Option<Tls> {
        let table = server.table("tls")?;
        let (certificate, key) = (self.pem(&table, "certificate"), self.pem(&table, "key"));
        table.finish();
        let ((certificate, certificate_place), (key, key_place)) = (certificate?, key?);
        let tls = Tls { certificate, key };
        let told = |Finding { part, what, remedy }| match part {
            TlsPart::Certificate => (&certificate_place, format!("`server.tls.certificate`: {what}"), remedy),
            TlsPart::Key => (&key_place, format!("`server.tls.key`: {what}"), remedy),
        };
        match self.host.examine(&tls) {
            Ok(doubts) => {
                for (place, what, remedy) in doubts.into_iter().map(told) {
                    self.notes.warning(place, what, remedy);
                }
                Some(tls)
            }
            Err(fault) => {
                let (place, what, remedy) = told(fault);
                self.notes.error(place, what, remedy);
                None
            }
        }
    }

    fn pem(&self, table: &Table<'_, '_>, key: &'static str) -> Option<(Pem, Range<usize>)> {
        let Some(path) = table.take::<AbsPath>(key) else {
            if table.place(key).is_none() {
                let remedy = "for example { certificate = \"/etc/kernos/tls/cert.pem\", key = \"/etc/kernos/tls/key.pem\" }";
                self.notes.error(&table.span, format!("[{}] has no `{key}`", table.path), remedy);
            }
            return None;
        };
        let span = path.span();
        let path = Spanned::into_inner(path);
        match self.host.secret_file(&path) {
            Ok(text) => Some((Pem { path, text }, span)),
            Err(missing) => {
                let remedy = "name a PEM file that whoever starts kernos can read";
                let message = format!("`{}.{key}`: {missing}", table.path);
                self.notes.error(&span, message, remedy);
                None
            }
        }
    }
}

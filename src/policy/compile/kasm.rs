//! `[kasm]`: read and checked, and not used by this version.

use toml::Spanned;
use toml::de::DeValue;

use super::Compiler;
use crate::policy::document::{Choice, Field, FromValue, Table};
use crate::vocab::{AbsPath, Secret};

/// The homes of Kasm's images, under both names that they use, and their common place for work.
const ROOTS: [&str; 3] = ["/home/kasm-user", "/home/kasm_user", "/workspace"];

/// How to reach the Kasm API.
#[derive(Clone, Debug)]
pub struct Kasm {
    /// Its address.
    pub url: String,
    /// The API key.
    pub api_key: Secret,
    /// The secret of the API key.
    pub api_secret: Secret,
    /// Whether one of the two is written in the policy itself.
    pub inline: bool,
    /// Whose sessions the tools act on unless a call names another user.
    pub user_id: Option<String>,
    /// Where files of a session may lie.
    pub roots: Vec<AbsPath>,
    /// How output and files come back.
    pub output: KasmOutput,
    /// Certificates to trust besides the system's.
    pub ca_file: Option<AbsPath>,
}

/// How command output and files come back from a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KasmOutput {
    /// The best way that is there.
    Auto,
    /// By the Docker Engine API of the agent host.
    Docker,
    /// By the session's own download folder.
    Relay,
    /// Not at all.
    DispatchOnly,
}

/// Where a secret is: in the file, in a credential, or in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the policy.
    Inline(Secret),
    /// A systemd credential.
    Credential(String),
    /// A file.
    File(AbsPath),
}

/// How a request proves itself to Kasm.
#[derive(Clone, Copy)]
struct Authentication;

impl Choice for Authentication {
    const CHOICES: &'static [(&'static str, Self)] = &[("body", Self), ("sha256", Self)];
}

impl Choice for KasmOutput {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("docker", Self::Docker),
        ("relay", Self::Relay),
        ("dispatch-only", Self::DispatchOnly),
    ];
}

impl FromValue for SecretSource {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => {
                let message = format!("`{}` is written in the policy itself", field.path);
                field.notes.warning(
                    &value.span(),
                    message,
                    "keep it in { credential = \"NAME\" } or { file = \"/path\" }",
                );
                Secret::from_value(value, field).map(Self::Inline)
            }
            DeValue::Table(entries) => {
                let table = Table::inline(entries, value.span(), field);
                let credential = table.read::<String>("credential").map(Self::Credential);
                let file = table.read::<AbsPath>("file").map(Self::File);
                table.finish();
                match (credential, file) {
                    (Some(source), None) | (None, Some(source)) => Some(source),
                    _ => {
                        let message = format!("`{}` needs one of `credential` and `file`", field.path);
                        field.notes.error(
                            &value.span(),
                            message,
                            "for example { credential = \"kasm-key\" }",
                        );
                        None
                    }
                }
            }
            _ => {
                let message = format!("`{}` must say where the secret is", field.path);
                field.notes.error(&value.span(), message, "for example { credential = \"kasm-key\" }");
                None
            }
        }
    }
}

impl Compiler<'_> {
    pub(super) fn kasm(&self, top: &Table<'_, '_>) -> Option<Kasm> {
        let table = top.table("kasm")?;
        self.notes.warning(&table.span, "[kasm] has no effect in this version", "no Kasm tool is served yet");
        let url = table.take::<String>("url");
        let api_key = self.secret(&table, "api_key");
        let api_secret = self.secret(&table, "api_secret");
        let user_id = table.take::<String>("user_id");
        let roots = table.read::<Vec<Spanned<AbsPath>>>("roots");
        let output = table.read("output").unwrap_or(KasmOutput::Auto);
        let _ = table.read::<Authentication>("auth");
        let ca_file = table.read("ca_file");
        table.finish();
        for key in ["url", "api_key", "api_secret"] {
            if table.place(key).is_none() {
                self.notes.error(
                    &table.span,
                    format!("[kasm] has no `{key}`"),
                    "write it, or leave [kasm] out",
                );
            }
        }
        if let Some(url) = &url
            && !["https://", "http://"].iter().any(|scheme| url.get_ref().starts_with(scheme))
        {
            self.notes.error(
                &url.span(),
                "`kasm.url` must be an address",
                "for example \"https://kasm.example.com\"",
            );
        }
        if let Some(id) = &user_id
            && !is_id(id.get_ref())
        {
            let message = "`kasm.user_id` must be 32 hexadecimal digits, with or without dashes";
            self.notes.error(&id.span(), message, "`get_kasm_users` of the Kasm API lists them");
        }
        let ((api_key, key_inline), (api_secret, secret_inline)) = (api_key?, api_secret?);
        Some(Kasm {
            url: url?.into_inner(),
            api_key,
            api_secret,
            inline: key_inline || secret_inline,
            user_id: user_id.map(Spanned::into_inner),
            roots: match roots {
                Some(roots) => roots.into_iter().map(Spanned::into_inner).collect(),
                None => ROOTS.iter().filter_map(|path| AbsPath::parse(path).ok()).collect(),
            },
            output,
            ca_file,
        })
    }

    /// The secret, and whether it is written in the policy itself.
    fn secret(&self, table: &Table<'_, '_>, key: &'static str) -> Option<(Secret, bool)> {
        let source = table.take::<SecretSource>(key)?;
        let read = match source.get_ref() {
            SecretSource::Inline(secret) => Ok(secret.clone()),
            SecretSource::Credential(name) => self.host.credential(name),
            SecretSource::File(path) => self.host.secret_file(path),
        };
        let secret = read.map_err(|missing| self.notes.error(&source.span(), missing.0, "")).ok()?;
        Some((secret, matches!(source.get_ref(), SecretSource::Inline(_))))
    }
}

/// Whether it is an id as Kasm writes them.
pub(in crate::policy) fn is_id(text: &str) -> bool {
    let digits: Vec<char> = text.chars().filter(|&c| c != '-').collect();
    digits.len() == 32 && digits.iter().all(char::is_ascii_hexdigit)
}

//! The start without a policy: a directory and a key for this run, and what to paste where.
//!
//! Not for a service: under systemd and beside `--config` it is never used.

use std::fmt::{self, Write as _};
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, chown, mkdtemp};
use serde_json::json;

use super::exit::Error;
use super::{key, tell};
use crate::policy::{self, Source};
use crate::vocab::{AbsPath, Secret};

/// The path in the default policy that a run puts its own directory in place of.
const ROOT: &str = "/tmp/kernos-work";

/// `user` of the default policy: who owns the directory when kernos is started as root, and so may remove it from
/// /tmp in the end.
const USER: u32 = 60901;

/// The gid of `run_as` in the default policy: who writes in it then.
const RUN_AS: u32 = 60902;

/// The revision of MCP that the printed `curl` line speaks: it needs no session.
const REVISION: &str = "2026-07-28";

/// What was made for this run.
#[derive(Clone, Debug)]
pub struct Welcome {
    key: Secret,
    directory: AbsPath,
}

impl Welcome {
    /// Makes a private directory for the commands, and a key.
    pub fn prepare() -> Result<Self, Error> {
        let failed =
            |source: nix::Error| Error::System { doing: "make a directory in /tmp", source: source.into() };
        let directory = mkdtemp("/tmp/kernos-XXXXXX").map_err(failed)?;
        if Uid::effective().is_root() {
            chown(&directory, Some(Uid::from_raw(USER)), Some(Gid::from_raw(RUN_AS))).map_err(failed)?;
            fs::set_permissions(&directory, Permissions::from_mode(0o770))
                .map_err(|source| Error::System { doing: "make a directory in /tmp", source })?;
        }
        Ok(Self { key: key::generate()?, directory: absolute(&directory)? })
    }

    /// The default policy with the directory and the key in it.
    pub fn policy(&self) -> Source {
        let text = policy::DEFAULT.replace(ROOT, self.directory.as_str());
        let digest = key::digest(&self.key);
        Source {
            name: "the default policy".to_owned(),
            text: format!("{text}\n[key.me]\nsha256  = \"{digest}\"\nprofile = \"default\"\n"),
        }
    }

    /// Removes the directory again; with something in it, it stays, and that is told.
    pub fn remove(&self) {
        let Err(error) = fs::remove_dir(&self.directory) else { return };
        let directory = &self.directory;
        match error.kind() {
            ErrorKind::NotFound => {}
            ErrorKind::DirectoryNotEmpty => tell(&format!(
                "kernos: what commands wrote stays in {directory}: remove it when it is no longer needed\n"
            )),
            _ => tell(&format!("kernos: {directory} stays, it cannot be removed: {error}\n")),
        }
    }

    /// What to tell whoever started this: where it listens, the key, and how to use both.
    pub fn message(&self, address: SocketAddr) -> impl fmt::Display {
        let url = format!("http://{address}/mcp");
        let key = self.key.expose();
        let bearer = format!("Bearer {key}");
        let mut text = format!(
            "kernos serves MCP on {url} with its default policy (`kernos policy default` prints it).\n\
             \n\
             Key, made for this run and shown only here:  {key}\n\
             Directory that commands may use:             {}\n\
             \n\
             Try it:\n\n{}\n\n\
             Or let a client in:\n",
            self.directory,
            curl(&url, key),
        );
        for (client, entry) in clients(&url, &bearer) {
            write!(text, "\n  {client}\n{entry}\n").expect("a string takes all that is written");
        }
        text
    }
}

/// A call of `shell_execute` in one request.
fn curl(url: &str, key: &str) -> String {
    let call = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "shell_execute",
            "arguments": { "command": ["uname", "-sr", "|", "tee", "hello.txt"] },
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": REVISION,
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    });
    format!(
        "curl -sS {url} \\\n  \
         -H 'Authorization: Bearer {key}' \\\n  \
         -H 'Content-Type: application/json' \\\n  \
         -H 'Accept: application/json, text/event-stream' \\\n  \
         -H 'MCP-Protocol-Version: {REVISION}' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: shell_execute' \\\n  \
         -d '{call}'"
    )
}

/// Who it is for and where it goes; the entry itself.
fn clients(url: &str, bearer: &str) -> [(&'static str, String); 4] {
    let headers = json!({ "Authorization": bearer });
    let line = |entry: serde_json::Value| format!("    {entry}");
    [
        (
            "Claude Code (in a shell)",
            // Behind --header, which takes any number of words, the name would be one of them.
            format!("    claude mcp add --transport http kernos {url} --header 'Authorization: {bearer}'"),
        ),
        (
            "VS Code (.vscode/mcp.json)",
            line(json!({ "servers": { "kernos": { "type": "http", "url": url, "headers": headers } } })),
        ),
        (
            "Cursor (~/.cursor/mcp.json)",
            line(json!({ "mcpServers": { "kernos": { "url": url, "headers": headers } } })),
        ),
        (
            "Cline (cline_mcp_settings.json)",
            line(
                json!({ "mcpServers": { "kernos": { "type": "streamableHttp", "url": url, "headers": headers } } }),
            ),
        ),
    ]
}

fn absolute(path: &Path) -> Result<AbsPath, Error> {
    let internal = || Error::Internal(format!("{} is not an absolute path", path.display()));
    path.to_str().and_then(|text| AbsPath::parse(text).ok()).ok_or_else(internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn welcome() -> Welcome {
        Welcome { key: Secret::new("kernos_KEY"), directory: AbsPath::parse("/tmp/kernos-abc").unwrap() }
    }

    fn message() -> String {
        welcome().message("127.0.0.1:22021".parse().unwrap()).to_string()
    }

    #[test]
    fn the_policy_holds_the_directory_and_the_digest_but_not_the_key() {
        let policy = welcome().policy();
        let table: toml::Table = policy.text.parse().unwrap();
        assert_eq!(table["root"]["work"]["path"].as_str(), Some("/tmp/kernos-abc"));
        assert_eq!(table["key"]["me"]["sha256"].as_str(), Some(&*key::digest(&Secret::new("kernos_KEY"))));
        assert_eq!(table["server"]["user"].as_integer(), Some(USER.into()));
        assert_eq!(table["server"]["run_as"].as_integer(), Some(RUN_AS.into()));
        assert!(!policy.text.contains("kernos_KEY"));
    }

    #[test]
    fn the_key_and_the_address_are_in_the_message() {
        assert!(
            message().starts_with("kernos serves MCP on http://127.0.0.1:22021/mcp with its default policy")
        );
        assert!(message().contains("shown only here:  kernos_KEY\n"));
    }

    #[test]
    fn the_header_of_the_curl_line_agrees_with_its_body() {
        let message = message();
        let body = message.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        let call: serde_json::Value = serde_json::from_str(body).unwrap();
        let meta = &call["params"]["_meta"];
        assert_eq!(call["method"], "tools/call");
        assert_eq!(call["params"]["name"], "shell_execute");
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], REVISION);
        assert!(meta["io.modelcontextprotocol/clientCapabilities"].is_object());
    }

    #[test]
    fn every_client_entry_is_json_with_the_url_and_the_key() {
        for line in message().lines().filter(|line| line.starts_with("    {")) {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(entry.to_string().contains("http://127.0.0.1:22021/mcp"));
            assert!(entry.to_string().contains("Bearer kernos_KEY"));
        }
        assert_eq!(message().lines().filter(|line| line.starts_with("    {")).count(), 3);
    }

    #[test]
    fn the_directory_is_private() {
        use std::os::unix::fs::MetadataExt;
        let welcome = Welcome::prepare().unwrap();
        let metadata = fs::metadata(&welcome.directory).unwrap();
        let (mode, uid) = (metadata.permissions().mode() & 0o777, metadata.uid());
        if Uid::effective().is_root() {
            assert_eq!((mode, uid, metadata.gid()), (0o770, USER, RUN_AS));
        } else {
            assert_eq!((mode, uid), (0o700, Uid::effective().as_raw()));
        }
        welcome.remove();
        assert!(!fs::exists(&welcome.directory).unwrap());
    }
}

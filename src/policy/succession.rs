//! One policy in the place of another: what of the new one takes effect only at a start.

use super::Policy;

impl Policy {
    /// What `next` changes that was settled before the privileges were dropped, in the words of the file.
    ///
    /// Where that is anything, `next` cannot take this policy's place while kernos runs.
    pub fn needs_restart(&self, next: &Self) -> Vec<String> {
        let (server, other) = (&self.server, &next.server);
        let changed = [
            ("server.listen", server.listen != other.listen),
            ("server.user", server.daemon != other.daemon),
            ("server.run_as", server.executor != other.executor),
            ("server.environment", server.environment != other.environment),
            ("server.sandbox", server.sandbox != other.sandbox),
            ("server.tls", server.tls.is_some() != other.tls.is_some()),
            ("log", self.log != next.log),
        ];
        let settled = changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key.to_owned());
        settled.chain(self.roots_that_differ(next)).collect()
    }

    fn roots_that_differ(&self, next: &Self) -> Vec<String> {
        let differs = |(roots, others): (&[super::compile::Root], &[super::compile::Root])| {
            let strange = roots.iter().filter(|root| !others.contains(root));
            strange.map(|root| format!("root.{}", root.name)).collect::<Vec<_>>()
        };
        let mut names = differs((&self.roots, &next.roots));
        names.extend(differs((&next.roots, &self.roots)));
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::testing::{FRAME, policy};

    fn needs(from: &str, to: &str) -> Vec<String> {
        let text = format!(
            "{FRAME}[profile.dev]\ntools = [\"shell_execute\"]\ncommands = [\"ls\"]\nroots = {{ work = \"ro\" }}\n"
        );
        assert!(text.contains(from), "{from}");
        policy(&text).needs_restart(&policy(&text.replace(from, to)))
    }

    #[test]
    fn keys_and_profiles_need_no_restart() {
        assert_eq!(needs("[\"ls\"]", "[\"ls\", \"cat\"]"), Vec::<String>::new());
        assert_eq!(needs("key.alice", "key.bob"), Vec::<String>::new());
        assert_eq!(needs("sandbox = \"best-effort\"", "sandbox = \"best-effort\"\nhosts = [\"h\"]"), [""; 0]);
    }

    #[test]
    fn what_was_settled_at_the_start_is_named() {
        assert_eq!(
            needs("user = \"kernos\"", "user = \"105\"\nlisten = [\"127.0.0.1:1\"]"),
            ["server.listen", "server.user"]
        );
        assert_eq!(needs("\"best-effort\"", "\"off\""), ["server.sandbox"]);
        assert_eq!(needs("[root.tmp]\npath = \"/tmp\"", "[log]\nrequired = false"), ["log", "root.tmp"]);
        assert_eq!(needs("/srv/work", "/srv/elsewhere"), ["root.work"]);
    }
}

//! What mcp-shell-server 1.1.14 thought of a command by its name alone (its `command_validator.py`), and what shells do.

/// Refused whatever the list said: `DANGEROUS_COMMANDS`.
const REFUSED: [&str; 49] = [
    "bash", "bun", "chroot", "csh", "deno", "env", "ex", "fish", "flock", "gdb", "ionice", "ksh", "less",
    "lua", "man", "more", "mysql", "nice", "node", "nohup", "perl", "pg", "php", "psql", "python", "python3",
    "rsync", "ruby", "script", "sed", "setarch", "setsid", "sh", "sqlite3", "ssh", "stdbuf", "strace",
    "taskset", "time", "timeout", "unshare", "valgrind", "vi", "view", "vim", "watch", "xargs", "zip", "zsh",
];

/// Allowed, but for arguments that start programs or name other files; and the names that it took for one of them.
const HARDENED: [&str; 13] = [
    "awk", "bfind", "bsdtar", "find", "gawk", "gfind", "git", "gsort", "gtar", "mawk", "nawk", "sort", "tar",
];

/// Words that a shell does by itself, and that no host has as a program.
const BUILTINS: [&str; 26] = [
    ".", ":", "alias", "bg", "bind", "builtin", "cd", "command", "declare", "dirs", "eval", "exec", "exit",
    "export", "fg", "hash", "history", "jobs", "popd", "pushd", "set", "source", "type", "ulimit", "umask",
    "unalias",
];

/// Whether the predecessor refused every call of it.
pub(super) fn was_refused(command: &str) -> bool {
    let name = file(command);
    let version = name.strip_prefix("python").filter(|version| !version.is_empty());
    let is_python = version.is_some_and(|version| {
        version.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    });
    is_python || REFUSED.contains(&name)
}

/// Whether the predecessor refused some of its arguments.
pub(super) fn was_hardened(command: &str) -> bool {
    HARDENED.contains(&file(command))
}

/// Whether it is a word of shells.
pub(super) fn is_builtin(command: &str) -> bool {
    BUILTINS.contains(&command)
}

/// Whether the predecessor took it for more than a name: `SHELL_METACHAR_PATTERN`.
pub(super) fn is_unsafe(text: &str) -> bool {
    text.contains(|c: char| c.is_whitespace() || ";&|<>`".contains(c))
}

fn file(command: &str) -> &str {
    command.rsplit('/').next().unwrap_or(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_of_python_was_refused() {
        for name in ["python", "python3", "python3.11", "/usr/bin/python3", "sh", "zip"] {
            assert!(was_refused(name), "{name}");
        }
        for name in ["python-config", "python3.", "pythonx", "ls", "unzip", ""] {
            assert!(!was_refused(name), "{name}");
        }
    }
}

# shellcheck shell=bash
# A kernos to be tested from outside: the scripts that need one source this file.
#
# It gives them a directory of their own, `$place`, that is removed at their end together with the daemon; the key
# `$key`, and, once it is started, `$url`.

# Read by the scripts that source this file.
# shellcheck disable=SC2034
key=kernos_clients_0123456789abcdef
place=$(mktemp -d)
daemon=

leave() {
    if [[ -n $daemon ]]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" || true
    fi
    rm -rf "$place"
}
trap leave EXIT

# A policy with this key in it; the argument is more of its table [server].
write_policy() {
    local users=
    mkdir "$place/work"
    chmod 755 "$place"
    if [[ $(id -u) == 0 ]]; then
        users=$'user = 60901\nrun_as = 60902'
        chown 60902:60902 "$place/work"
    fi
    (umask 077 && cat >"$place/kernos.toml") <<TOML
[server]
listen = ["127.0.0.1:0"]
sandbox = "best-effort"
$users
$1
[log]
format = "json"
[root.work]
path = "$place/work"
[command.cat]
[command.echo]
[command.head]
[command.seq]
[command.sleep]
[command.sort]
[profile.dev]
tools = ["shell_execute"]
commands = ["cat", "echo", "head", "seq", "sleep", "sort"]
roots = { work = "rw" }
[key.clients]
sha256 = "$(printf %s "$key" | sha256sum | cut -d ' ' -f 1)"
profile = "dev"
TOML
}

start_kernos() {
    "$1" serve --config "$place/kernos.toml" 2>"$place/log" &
    daemon=$!
    for _ in $(seq 200); do
        url=$(sed -nE 's|.*serving on http://([0-9.]+:[0-9]+).*|http://\1/mcp|p' "$place/log" | head -n 1)
        [[ -z $url ]] || return 0
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.05
    done
    cat "$place/log" >&2
    echo "kernos does not start" >&2
    return 1
}

# The packages of a package.json, all at once, for programs that find them from `$place/node`.
install_node_packages() {
    mkdir "$place/node"
    cp "$1" "$place/node"
    (cd "$place/node" && npm install --no-audit --no-fund --no-package-lock --no-update-notifier --loglevel=error >/dev/null)
    PATH=$place/node/node_modules/.bin:$PATH
}

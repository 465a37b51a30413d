#!/bin/sh
# Makes .venv from requirements.lock. Plain sh, because it runs before there is any Python of ours.
# A second call with an unchanged lock returns at once. Each failure is one sentence with the mend.
set -eu
cd "$(dirname "$0")/../.."

# Runs a command without its chatter; if it fails, its last words end up in the one sentence that follows.
quietly() { "$@" >"$said" 2>&1; }
last_words() { grep -v '^[[:space:]]*$' "$said" | tail -n 1 | cut -c 1-200; }

say() { printf '%s\n' "kakou: $*" >&2; }
fail() { say "$*"; exit 1; }

stamp_of_lock() { cat requirements.lock setup.cfg pyproject.toml kakou/stack/bootstrap.sh | sha256sum | cut -d' ' -f1; }

in_step() {
    [ -f .venv/.in-step ] && [ "$(cat .venv/.in-step)" = "$(stamp_of_lock)" ] && .venv/bin/python -c 'import kakou' 2>/dev/null
}

find_python() {
    for candidate in python3.11 python3 python3.12 python3.13; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or later is missing. Install it (on Debian 12: apt-get install python3), then run the command again."
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "neither root nor sudo"
        return 1
    fi
}

need_room() { # GiB
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free" -ge "$1" ] || fail "Only $free GiB are free on the disk of $(pwd), and the install needs about $1. Free some and run the command again."
}

need_venv_module() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    say "installing python3-venv"
    quietly as_root env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get install -qy --no-install-recommends python3-venv ||
         { apt-get update -q && apt-get install -qy --no-install-recommends python3-venv; }' ||
        fail "Package python3-venv is missing and could not be installed ($(last_words)). Run 'sudo apt-get install python3-venv', then the command again."
}

# Two installs at once would trip over each other; the second waits and then finds everything done.
if [ -z "${KAKOU_INSTALL_LOCKED:-}" ] && command -v flock >/dev/null; then
    mkdir -p var
    KAKOU_INSTALL_LOCKED=1 exec flock var/.install.lock "$0" "$@"
fi

in_step && exit 0
said=$(mktemp)
trap 'rm -f "$said"' EXIT

python=$(find_python)
.venv/bin/python -c '' 2>/dev/null || need_room 6
need_venv_module "$python"
if ! .venv/bin/python -m pip --version >/dev/null 2>&1 && ! .venv/bin/uv --version >/dev/null 2>&1; then
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    quietly "$python" -m venv .venv || fail "The virtual environment .venv could not be made ($(last_words)). Check the disk, then run the command again."
fi
rm -f .venv/.in-step

mend="Check the network and the disk, then run the command again."
uv=$(sed -n 's/^uv==//p' requirements.lock)
if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$uv" ]; then
    quietly .venv/bin/python -m pip install -q --disable-pip-version-check "uv==$uv" ||
        fail "uv $uv could not be installed ($(last_words)). $mend"
fi
say "installing the locked Python packages (about 1.3 GB, once)"
quietly .venv/bin/uv pip sync -q --python .venv/bin/python requirements.lock ||
    fail "The Python packages of requirements.lock could not be installed ($(last_words)). $mend"
quietly .venv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e . ||
    fail "The project itself could not be installed into .venv ($(last_words)). $mend"
stamp_of_lock >.venv/.in-step

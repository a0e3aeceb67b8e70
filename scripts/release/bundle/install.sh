#!/bin/sh
# Install probe from this folder without any network: ./install.sh [FOLDER]
# FOLDER is where probe will live, $HOME/probe by default. No administrator needed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-${HOME:-.}/probe}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit 1
}

for python in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3.10 python3 python}; do
    if "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
        found=$python
        break
    fi
done
[ -n "${found:-}" ] || fail "no Python 3.10 to 3.14 found. Set PYTHON=/path/to/python3, or use the executable."

if command -v sha256sum >/dev/null 2>&1; then
    (cd "$here" && sha256sum --check --quiet SHA256SUMS) || fail "a file is damaged or was changed: fetch the bundle again."
fi
"$found" -m venv "$target" || fail "the venv module of $found does not work (Debian and Ubuntu: python3-venv). probe.pyz needs neither venv nor pip."
"$target/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links "$here/wheels" \
    --require-hashes --requirement "$here/requirements.txt" || fail "pip could not install; its message stands above."
printf 'Installed. Start it with: %s/bin/probe\n' "$target"

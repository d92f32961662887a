#!/usr/bin/env bash
# Installs the environments of the peers that `make bench-peers` runs beside us, each in a folder of its own under .peers/. Starts nothing.
#
#   ops/peers.sh [NAME…]     all of them where none is named
#
# NAME.txt in ops/peers/ has its pinned Python packages; NAME.sh, where there is one, installs what is not on PyPI (it gets the folder as its first
# argument). Each has a stamp, so what is done is quick; deleting .peers/ undoes it all. What could not be installed is said, and the exit status is 1.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$PWD/.peers
recipes=$PWD/ops/peers
python=${PYTHON:-python3}
mkdir -p "$target"

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for file in "$recipes"/*.txt; do names+=("$(basename "$file" .txt)"); done
fi

install() {
    local name=$1
    [ -x "$target/$name/bin/python" ] || "$python" -m venv "$target/$name"
    "$target/$name/bin/python" -m pip install --disable-pip-version-check --quiet --no-compile -r "$recipes/$name.txt"
    [ ! -f "$recipes/$name.sh" ] || bash "$recipes/$name.sh" "$target/$name"
}

failed=()
for name in "${names[@]}"; do
    [ -f "$recipes/$name.txt" ] || { echo "there is no peer $name" >&2; failed+=("$name"); continue; }
    now=$(cat "$recipes/$name".* | sha256sum)
    [ "$(cat "$target/$name.stamp" 2>/dev/null)" = "$now" ] && continue
    echo "installing $name"
    # Not as `if install…`: bash forgets `set -e` inside of a condition.
    set +e
    (set -e; install "$name")
    status=$?
    set -e
    if [ "$status" -eq 0 ]; then echo "$now" >"$target/$name.stamp"; else failed+=("$name"); fi
done
if [ ${#failed[@]} -gt 0 ]; then
    printf 'NOT INSTALLED: %s\n' "${failed[@]}" >&2
    exit 1
fi

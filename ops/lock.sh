#!/usr/bin/env bash
# Writes requirements/run.txt and requirements/test.txt from clean environments: what `make setup` and `make test` install.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3.11}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

extras() { # the requirements of pyproject.toml, one a line: run, or run with the extras test and dev
    "$python" - "$1" <<'PYTHON'
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
wanted = project["build-system"]["requires"] + project["project"]["dependencies"]
if sys.argv[1] == "test":
    wanted += [each for name in ("test", "dev") for each in project["project"]["optional-dependencies"][name]]
print("\n".join(wanted))
PYTHON
}

freeze() { # freeze NAME COMMENT
    extras "$1" >"$scratch/$1.in"
    "$scratch/venv/bin/pip" install --quiet --no-compile -r "$scratch/$1.in"
    { echo "# $2 Written by \`make lock\`."; "$scratch/venv/bin/pip" freeze --all --exclude pip; } >"requirements/$1.txt"
}

"$python" -m venv "$scratch/venv"
freeze run "What running needs, the demo included."
freeze test "What testing and checking need, and what running needs."

#!/usr/bin/env bash
# Restate's server from npm, into the folder that is the first argument. Its scripts are not run: what it needs is in its packages.
set -euo pipefail
recipes=$(cd "$(dirname "$0")" && pwd)
cp "$recipes/restate.package.json" "$1/package.json"
cp "$recipes/restate.package-lock.json" "$1/package-lock.json"
npm ci --prefix "$1" --no-audit --no-fund --ignore-scripts --loglevel=error

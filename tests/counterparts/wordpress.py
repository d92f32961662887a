"""A real WordPress on a MariaDB of its own, in a folder that goes with it: `with start() as site:` gives its URL and an application password.

The database listens on a Unix socket only, WordPress on a free port of loopback. It is Debian's WordPress, copied without its scripts and
pictures, because its own configuration belongs to root. `site.php` runs PHP inside of WordPress, for what a test wants to see or arrange.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.counterparts.needs import path_of
from tests.counterparts.process import STARTS_WITHIN_S, Counterpart, NotStarted, free_port, started

TOOLS = ("mariadbd", "mariadb-install-db", "php", "wordpress")
ROLES = ("member_gold", "member_silver")
LEFT_OUT = shutil.ignore_patterns("*.js", "*.css", "*.png", "*.gif", "*.jpg", "*.svg", "*.woff*", "*.ttf", "*.eot", "*.scss")
WORKERS = 4

# Durability is of no use to a test, and these files would be 200 MB.
FRUGAL = (
    "--skip-networking",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-log-file-size=8M",
    "--innodb-buffer-pool-size=32M",
    "--performance-schema=OFF",
)

CONFIG = """<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:{socket}');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('WP_HOME', 'http://127.0.0.1:{port}');
define('WP_SITEURL', 'http://127.0.0.1:{port}');
define('WP_ENVIRONMENT_TYPE', 'local');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""

INSTALL = """<?php
define('WP_INSTALLING', true);
function wp_new_blog_notification() {}
require getcwd() . '/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
$made = wp_install('Members', 'bot', 'bot@example.com', true, '', wp_generate_password(24));
foreach (['member_gold', 'member_silver'] as $role) add_role($role, $role, ['read' => true]);
wp_insert_user(['user_login' => 'clerk', 'user_email' => 'clerk@example.com', 'user_pass' => wp_generate_password(24), 'role' => 'editor']);
$passwords = [];
foreach (['bot', 'clerk'] as $login)
    $passwords[$login] = WP_Application_Passwords::create_new_application_password(get_user_by('login', $login)->ID, ['name' => 'wayfare'])[0];
echo json_encode($passwords);
"""


class WordPress:
    """A running site. `passwords` are application passwords: of `bot`, an administrator, and of `clerk`, an editor who may not list users."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.url = f"http://127.0.0.1:{port}"
        self.passwords: dict[str, str] = {}

    def php(self, code: str, *args: str) -> Any:
        """Run PHP in WordPress, as an administrator's plugin would; what it `return`s, by way of JSON. `$args` holds the arguments."""
        return self.script(
            f"<?php require getcwd() . '/wp-load.php'; $args = array_slice($argv, 1); echo json_encode((function() use ($args) {{ {code} }})());", *args
        )

    def script(self, source: str, *args: str) -> Any:
        """Run a whole script; what it prints, by way of JSON."""
        file = self.root / "script.php"
        file.write_text(source)
        done = subprocess.run([path_of("php"), *_quick(), "script.php", *args], cwd=self.root, capture_output=True, text=True, timeout=60, check=False)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            raise NotStarted(f"PHP said: {done.stdout[-2_000:]}{done.stderr[-2_000:]}") from None

    def roles(self, email: str) -> list[list[str]]:
        """The roles of every user with this address, sorted; one list a user."""
        query = "global $wpdb; return array_map(fn($id) => get_userdata($id)->roles, $wpdb->get_col($wpdb->prepare('SELECT ID FROM wp_users WHERE user_email = %s ORDER BY ID', $args[0])));"
        return [sorted(roles.values() if isinstance(roles, dict) else roles) for roles in self.php(query, email)]

    def plugin(self, code: str) -> None:
        """Let every request from now on run this PHP too; "" for none."""
        folder = self.root / "wp-content/mu-plugins"
        folder.mkdir(exist_ok=True)
        (folder / "test.php").write_text(f"<?php {code}")


@contextmanager
def start() -> Iterator[WordPress]:
    """A site of its own with the roles of ROLES; all of it ends with the block. NotStarted where it does not come up."""
    with tempfile.TemporaryDirectory(prefix="wp-") as folder:
        root, data = Path(folder, "site"), Path(folder, "data")
        with _database(data, Path(folder, "db.sock")) as address:
            shutil.copytree(path_of("wordpress"), root, ignore=LEFT_OUT, ignore_dangling_symlinks=True)
            port = free_port()
            (root / "wp-config.php").write_text(CONFIG.format(socket=address, port=port))
            site = WordPress(root, port)
            site.passwords = site.script(INSTALL)
            env = {"PHP_CLI_SERVER_WORKERS": str(WORKERS)}
            with started(path_of("php"), *_quick(), "-S", f"127.0.0.1:{port}", "-t", str(root), port=port, url=f"{site.url}/?rest_route=/", env=env):
                yield site


@contextmanager
def _database(data: Path, address: Path) -> Iterator[Path]:
    """A MariaDB with an empty database `wordpress`, reached by a socket as root without a password."""
    as_root = ["--user=root"] if os.getuid() == 0 else []
    seed = [path_of("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db", *as_root]
    subprocess.run(seed, check=True, capture_output=True, timeout=60)
    with started(path_of("mariadbd"), "--no-defaults", f"--datadir={data}", f"--socket={address}", *FRUGAL, *as_root) as server:
        _wait(server, address)
        code = "$db = new mysqli('localhost', 'root', '', '', 0, $argv[1]); $db->query('CREATE DATABASE wordpress CHARACTER SET utf8mb4');"
        subprocess.run([path_of("php"), "-r", code, str(address)], check=True, capture_output=True, timeout=60)
        yield address


def _wait(server: Counterpart, address: Path) -> None:
    end = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < end and server.process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(address)) == 0:
                return
        time.sleep(0.02)
    raise NotStarted(server.output()[-2_000:])


def _quick() -> Sequence[str]:
    """PHP compiles WordPress once, not for every request."""
    return ["-d", "opcache.enable_cli=1", "-d", "opcache.revalidate_freq=0", "-d", "display_errors=0", "-d", "log_errors=0"]

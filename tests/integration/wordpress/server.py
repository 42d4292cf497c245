# SPDX-License-Identifier: Apache-2.0
"""A real WordPress for a test: Debian's, with a MariaDB and PHP's own web server, all in one temporary folder, on free ports."""

import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
NEEDED = ("/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db", "/usr/bin/php", "/usr/share/wordpress/wp-settings.php")

CONFIG = """<?php
define('DB_NAME', 'blog'); define('DB_USER', 'root'); define('DB_PASSWORD', ''); define('DB_HOST', 'localhost:%(socket)s');
define('DB_CHARSET', 'utf8mb4'); define('DB_COLLATE', '');
define('WP_HOME', '%(url)s'); define('WP_SITEURL', '%(url)s');
define('DISABLE_WP_CRON', true); define('AUTOMATIC_UPDATER_DISABLED', true); define('WP_HTTP_BLOCK_EXTERNAL', true);
define('WP_CONTENT_DIR', __DIR__ . '/wp-content');
foreach (['AUTH_KEY','SECURE_AUTH_KEY','LOGGED_IN_KEY','NONCE_KEY','AUTH_SALT','SECURE_AUTH_SALT','LOGGED_IN_SALT','NONCE_SALT'] as $k) { define($k, '%(salt)s'); }
$table_prefix = 'wp_';
if (!defined('ABSPATH')) { define('ABSPATH', __DIR__ . '/'); }
require_once ABSPATH . 'wp-settings.php';
"""


def missing():
    """What is not installed; empty: a WordPress can be started."""
    return [path for path in NEEDED if not os.path.exists(path)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class WordPress:
    """Used in a `with`: starts on entry; on exit everything is stopped, the folder is the caller's to remove."""

    def __init__(self, folder, posts_in_feed=100):
        self.folder = pathlib.Path(folder)
        self.site = self.folder / "site"
        self.socket = self.folder / "db.sock"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.posts_in_feed = posts_in_feed
        self.processes = []

    def __enter__(self):
        try:
            self.start_database()
            self.start_site()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            try:
                os.killpg(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def spawn(self, command, log, **more):
        with open(self.folder / log, "ab") as out:
            self.processes.append(subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, **more))

    def wait_for(self, ready, what, log):
        for _ in range(600):
            if self.processes[-1].poll() is not None:
                break
            if ready():
                return
            time.sleep(0.1)
        raise RuntimeError(f"{what} did not start: " + (self.folder / log).read_text(errors="replace")[-2000:])

    def start_database(self):
        user = ["--user=root"] if os.getuid() == 0 else []
        data = self.folder / "db"
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db",
                        *user], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.spawn(["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={self.socket}", "--skip-networking", "--innodb-buffer-pool-size=32M",
                    "--innodb-flush-log-at-trx-commit=0", f"--pid-file={self.folder / 'db.pid'}", *user], "db.log")
        client = ["mariadb", "--no-defaults", f"--socket={self.socket}", "-uroot", "-e"]
        self.wait_for(lambda: subprocess.run([*client, "CREATE DATABASE IF NOT EXISTS blog"], stderr=subprocess.DEVNULL).returncode == 0,
                      "MariaDB", "db.log")

    def start_site(self):
        shutil.copytree("/usr/share/wordpress", self.site, symlinks=False, ignore_dangling_symlinks=True,
                        ignore=shutil.ignore_patterns("wp-config.php", "languages", "*.po", "*.mo"))
        (self.site / "wp-config.php").write_text(CONFIG % {"socket": self.socket, "url": self.url, "salt": secrets.token_hex(16)})
        self.drive(["install", self.posts_in_feed])
        self.spawn(["php", "-d", "display_errors=0", "-d", "opcache.enable_cli=1", "-S", f"127.0.0.1:{self.port}", "-t", str(self.site)], "php.log",
                   env={**os.environ, "PHP_CLI_SERVER_WORKERS": "3"})
        self.wait_for(self.answers, "PHP's web server", "php.log")

    def answers(self):
        try:
            with urllib.request.urlopen(self.url + "/?feed=rss2", timeout=20) as answer:
                return answer.status == 200
        except OSError:
            return False

    def drive(self, *operations):
        """Runs operations of drive.php; returns their results."""
        done = subprocess.run(["php", "-d", "display_errors=stderr", str(HERE / "drive.php"), str(self.site)], input=json.dumps(operations).encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "WORDPRESS_HOST": f"127.0.0.1:{self.port}"}, check=False)
        try:
            return json.loads(done.stdout[done.stdout.index(b"["):])
        except ValueError:
            raise RuntimeError(f"drive.php said: {done.stdout[-500:]!r} {done.stderr[-1000:]!r}") from None

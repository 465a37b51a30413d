"""Edge: the MariaDB servers: the data nodes, and the endpoint with the Spider engine."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from kakou.connections import TLS_VERSIONS, connect
from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.stack.certificates import ensure_certificates, server_file
from kakou.stack.debian import debian_root, library_path
from kakou.stack.rendering import socket_path
from kakou.stack.service import Service
from kakou.stack.steps import run_step
from kakou.whole_files import write_private

# In the order of mariadb-install-db; the texts of HELP and the test database are left out.
_SYSTEM_TABLES: Final = (
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mysql_sys_schema.sql",
)


def utc_offset(timezone: str, moment: datetime) -> str:
    """Offset of a zone as ``+08:00``; the servers' own zone tables are not loaded.

    >>> utc_offset("Asia/Shanghai", datetime(2024, 1, 15, tzinfo=UTC))
    '+08:00'
    """
    text = moment.astimezone(ZoneInfo(timezone)).strftime("%z")
    return f"{text[:3]}:{text[3:5]}"


def _program(settings: Settings) -> str:
    return str(debian_root(settings) / "usr/sbin/mariadbd")


def _scratch(settings: Settings, name: str) -> Path:
    """Temporary tables. A server that starts empties its folder, so it must not be another server's /tmp."""
    return settings.run_dir / f"{name}.tmp"


def _places(settings: Settings, data: Path, scratch: Path) -> list[str]:
    usr = debian_root(settings) / "usr"
    return [
        f"basedir={usr}",
        f"datadir={data}",
        f"tmpdir={scratch}",
        f"lc-messages-dir={usr / 'share/mysql'}",
        f"plugin-dir={usr / 'lib/mysql/plugin'}",
        f"user={pwd.getpwuid(os.geteuid()).pw_name}",  # as root the server demands to be told so
    ]


def _options(settings: Settings, name: str, data: Path) -> str:
    lines = [
        "[mariadbd]",
        *_places(settings, data, _scratch(settings, name)),
        f"bind-address={settings.host}",
        f"port={settings.port(name)}",
        f"socket={socket_path(settings, f'{name}.sock')}",
        f"pid-file={settings.run_dir / f'{name}.pid'}",
        "skip-name-resolve",
        f"default-time-zone='{utc_offset(settings.timezone, datetime.now(UTC))}'",
        "character-set-server=utf8mb4",
        "collation-server=utf8mb4_general_ci",
        "local-infile=ON",
        "max-connections=200",
        "max-allowed-packet=64M",
        "performance-schema=OFF",
        f"innodb-buffer-pool-size={_buffer_mb(settings, name)}M",
        f"innodb-log-file-size={_log_mb(settings, name)}M",
        "innodb-log-buffer-size=8M",
        "key-buffer-size=4M",
        "aria-pagecache-buffer-size=8M",
        "loose-innodb-print-all-deadlocks=ON",
        *_tls(settings, data),
    ]
    if name == "endpoint":
        lines += [
            "plugin-load-add=ha_spider.so",
            # By default Spider pages a scan under a LIMIT ten rows at a time, each page from the start again.
            "loose-spider-semi-split-read=0",
            # Sums and counts added up on the nodes are several times faster, but Spider then checks the
            # condition again on the smallest value of each column: with an OR over two columns rows are
            # silently lost. Who only joins single-column conditions by AND may switch it on in their session.
            "loose-spider-direct-aggregate=OFF",
            # A node that is away or frozen is an error in seconds, not in ten minutes.
            "loose-spider-connect-timeout=3",
            "loose-spider-net-read-timeout=30",
            "loose-spider-net-write-timeout=30",
            # An open transaction that idles would keep a new gate from being added.
            "idle-transaction-timeout=20",
        ]
    return "\n".join([*lines, ""])


def _buffer_mb(settings: Settings, name: str) -> int:
    """Memory for tables; the endpoint keeps a copy of the gates and no pass."""
    return 32 if name == "endpoint" else settings.node_buffer_mb


def _log_mb(settings: Settings, name: str) -> int:
    """Half of that memory, so that a burst of passes is written to the tables once and not page by page."""
    return _buffer_mb(settings, name) // 2


def _tls(settings: Settings, data: Path) -> list[str]:
    if not settings.tls_on:
        return []
    # From the data folder, where the server runs: the endpoint's tables hold this path (see sql.endpoint),
    # and it must go on to be right when <var> is moved.
    authority = os.path.relpath(settings.tls_authority_file.resolve(), data.resolve())
    return [
        f"ssl-ca={authority}",
        f"ssl-cert={server_file(settings)}",
        f"ssl-key={server_file(settings)}",
        f"tls-version={TLS_VERSIONS}",
        "require-secure-transport=ON",
    ]


def _first_sql(settings: Settings) -> str:
    """Run once, at initialisation: the system tables, and root with a password from loopback and nobody else.

    The same as mariadb-install-db does; that script cannot stand a space in a path.
    """
    share = debian_root(settings) / "usr/share/mysql"
    lines = ["CREATE DATABASE mysql;", "USE mysql;", "SET @auth_root_socket = NULL;"]
    for name in _SYSTEM_TABLES:
        text = (share / name).read_text(encoding="utf-8")
        # This machine's name has no place in the grants: addresses are not looked up.
        lines += [line for line in text.splitlines() if "@current_hostname" not in line]
    password = secret(settings, "db_root").get_secret_value()
    hosts = ("localhost", settings.host)
    lines += [
        "FLUSH PRIVILEGES;",
        *(f"CREATE OR REPLACE USER root@'{host}' IDENTIFIED BY '{password}';" for host in hosts),
        *(f"GRANT ALL PRIVILEGES ON *.* TO root@'{host}' WITH GRANT OPTION;" for host in hosts),
        "DELETE FROM mysql.global_priv",
        "WHERE User = '' OR (User = 'root' AND Host NOT IN ('localhost',",
        f"'{settings.host}'));",
        "",
    ]
    return "\n".join(lines)


def _environment(settings: Settings) -> Mapping[str, str]:
    return {"LD_LIBRARY_PATH": library_path(debian_root(settings))}


def _prepare(settings: Settings, name: str) -> None:
    if settings.tls_on:
        ensure_certificates(settings)
    run, data = settings.run_dir, settings.data_dir / name
    _scratch(settings, name).mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(run / f"{name}.cnf", _options(settings, name, data))
    if data.exists():
        return
    draft = (
        settings.data_dir / f".{name}.draft"
    )  # renamed when whole: a killed initialisation leaves nothing behind
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    options = run / f"{name}-first.cnf"
    write_private(options, _first_options(settings, name, draft))
    run_step(
        [_program(settings), f"--defaults-file={options}", "--bootstrap", "--log-warnings=0"],
        what=f"The data folder of {name} could not be initialised",
        mend=f"Check that {settings.data_dir} can be written, then run the command again.",
        env={**os.environ, **_environment(settings)},
        stdin=_first_sql(settings),
    )
    options.unlink()
    draft.rename(data)


def _first_options(settings: Settings, name: str, data: Path) -> str:
    """Those that hold before there is a server; the size of the log is fixed when the tablespace is made."""
    return "\n".join(
        [
            "[mariadbd]",
            *_places(settings, data, _scratch(settings, name)),
            "character-set-server=utf8mb4",
            f"innodb-log-file-size={_log_mb(settings, name)}M",
            "net-buffer-length=16K",
            "max-allowed-packet=8M",
            "enforce-storage-engine=",
            "",
        ]
    )


def _answers(settings: Settings, name: str) -> None:
    connection = connect(settings, name, "root", database="", connect_timeout=3)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def service(name: str) -> Service:
    """The service of a node or of the endpoint."""
    return Service(
        name=name,
        ports=(name,),
        prepare=lambda settings: _prepare(settings, name),
        command=lambda settings: [
            _program(settings),
            f"--defaults-file={settings.run_dir / f'{name}.cnf'}",
        ],
        environment=_environment,
        answers=lambda settings: _answers(settings, name),
        stop_s=40,
    )

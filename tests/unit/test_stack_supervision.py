"""The supervisor's configuration, the start order and the doctor, without a running service."""

from __future__ import annotations

import json
import os
import shlex
import socket
import stat
from configparser import RawConfigParser
from datetime import UTC, datetime
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from kakou.errors import BadInputError, PortTakenError
from kakou.settings import PORTS, Settings
from kakou.stack import supervision
from kakou.stack.catalogue import SERVICES, chosen, services
from kakou.stack.doctor import examine
from kakou.stack.environment import MARKER, child_environment
from kakou.stack.hooks import hooks
from kakou.stack.ports import demand_free_ports, free_offset, port_is_free
from kakou.stack.rendering import make_folders
from kakou.stack.services.database import utc_offset
from kakou.whole_files import write_private


def test_the_supervisor_reads_back_what_was_meant(settings: Settings, tmp_path: Path) -> None:
    odd = settings.model_copy(update={"var": tmp_path / 'a b 100% "q"'})
    make_folders(odd)
    text = supervision._configuration(odd, SERVICES.values(), odd.run_dir / "s.sock")
    config = tmp_path / "supervisord.conf"
    write_private(config, text)
    options = ServerOptions()
    options.realize(["-c", str(config)], doc="")
    read = {group.name: group.process_configs[0] for group in options.process_group_configs}
    assert read.keys() == SERVICES.keys()
    for name, service in SERVICES.items():
        assert shlex.split(read[name].command) == service.command(odd)
        assert dict(service.environment(odd)).items() <= read[name].environment.items()
        assert read[name].autorestart and read[name].killasgroup
        assert read[name].stopasgroup == service.stop_group
        assert read[name].stdout_logfile == str(supervision.log_file(odd, name))
        assert (read[name].stdout_logfile_maxbytes, read[name].stdout_logfile_backups) == (10 * 2**20, 5)
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_the_control_socket_has_a_password(settings: Settings) -> None:
    make_folders(settings)
    parser = RawConfigParser()
    parser.read_string(supervision._configuration(settings, [], settings.run_dir / "s.sock"))
    assert len(parser["unix_http_server"]["password"]) >= 32
    assert parser["unix_http_server"]["chmod"] == "0700"


def test_every_port_belongs_to_one_service() -> None:
    named = [port for one in SERVICES.values() for port in one.ports]
    assert sorted(named) == sorted(PORTS)


def test_no_step_waits_for_itself_or_for_something_unknown(settings: Settings) -> None:
    after = {one.name: set(one.after) for one in (*services(settings).values(), *hooks(settings))}
    done: set[str] = set()
    while len(done) < len(after):
        ready = {name for name, needs in after.items() if name not in done and needs <= done}
        assert ready, f"never ready: {after.keys() - done}"
        done |= ready


def test_an_unknown_service_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(BadInputError, match=r"no service zookeeper.*kafka"):
        chosen(settings, {"zookeeper"})


def test_children_get_the_settings_and_the_marker(settings: Settings) -> None:
    env = child_environment(settings)
    assert env[MARKER] == str(settings.var)
    assert env["KAKOU_VAR"] == str(settings.var)
    assert env["KAKOU_PORT_OFFSET"] == str(settings.port_offset)
    assert {f"KAKOU_{name.upper()}" for name in Settings.model_fields} <= env.keys()
    assert env.get("TZ") == os.environ.get("TZ")
    assert env["AIRFLOW__API__HOST"] == settings.host
    assert len(env["AIRFLOW__CORE__FERNET_KEY"]) == 44


def test_a_taken_port_is_one_sentence_that_names_the_mend(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind((settings.host, 0))
        other.listen()
        port = other.getsockname()[1]
        shifted = settings.model_copy(update={"port_offset": port - PORTS["redis"]})
        with pytest.raises(PortTakenError) as caught:
            demand_free_ports(shifted, [SERVICES["redis"]])
    text = str(caught.value)
    assert f"Port {port}" in text and "redis" in text and "KAKOU_PORT_OFFSET" in text
    assert f"pid {os.getpid()}" in text
    assert "\n" not in text


def test_a_port_on_every_interface_is_taken_too() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        assert not port_is_free("127.0.0.1", other.getsockname()[1])


def test_a_free_offset_has_every_port_free() -> None:
    offset = free_offset("127.0.0.1", 15_000)
    assert all(port_is_free("127.0.0.1", port + offset) for port in PORTS.values())


@pytest.mark.parametrize(
    ("zone", "offset"), [("Asia/Shanghai", "+08:00"), ("UTC", "+00:00"), ("Asia/Kolkata", "+05:30")]
)
def test_the_servers_get_the_zone_as_an_offset(zone: str, offset: str) -> None:
    assert utc_offset(zone, datetime(2024, 1, 15, tzinfo=UTC)) == offset


def test_the_doctor_names_what_is_missing_and_the_mend(settings: Settings, tmp_path: Path) -> None:
    bare = settings.model_copy(update={"parts": tmp_path / "parts"})
    found = {one.what: one for one in examine(bare)}
    assert not found["servers"].ok and "make install" in found["servers"].mend
    assert not found["jars of kafka"].ok
    assert found["python"].ok and found["python"].mend == ""
    assert all(one.ok != bool(one.mend) for one in found.values())
    json.dumps([one.to_dict() for one in found.values()])


def test_the_doctor_sees_an_open_secret(settings: Settings) -> None:
    make_folders(settings)
    path = settings.secrets_dir / "redis"
    path.write_text("x")
    path.chmod(0o644)
    secrets = next(one for one in examine(settings) if one.what == "secrets")
    assert not secrets.ok and str(path) in secrets.found
    path.chmod(0o600)
    assert next(one for one in examine(settings) if one.what == "secrets").ok

from pathlib import Path

import pytest

from kakou.errors import SettingsError
from kakou.settings import PORTS, load_settings


def test_offset_shifts_every_port(tmp_path: Path) -> None:
    settings = load_settings(var=tmp_path, port_offset=1000)
    assert {name: settings.port(name) - 1000 for name in PORTS} == PORTS


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAKOU_PORT_OFFSET", "7")
    assert load_settings().port("api") == 5007


def test_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAKOU_INGEST_ROUTE", "pigeon")
    with pytest.raises(SettingsError, match="KAKOU_INGEST_ROUTE"):
        load_settings()


def test_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(var=Path("here"))
    assert settings.var == tmp_path / "here"
    assert settings.secrets_dir == tmp_path / "here" / "secrets"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load_settings(var=tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.host = "0.0.0.0"  # type: ignore[misc]

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kakou.secret_files import secret, secret_path
from kakou.settings import load_settings


def test_secret_is_kept_and_private(tmp_path: Path) -> None:
    settings = load_settings(var=tmp_path)
    first = secret(settings, "redis").get_secret_value()
    assert len(first) == 32
    assert secret(settings, "redis").get_secret_value() == first
    assert stat.S_IMODE(secret_path(settings, "redis").stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.secrets_dir.stat().st_mode) == 0o700


def test_two_names_differ(tmp_path: Path) -> None:
    settings = load_settings(var=tmp_path)
    assert secret(settings, "a").get_secret_value() != secret(settings, "b").get_secret_value()


def test_asked_for_at_once_gives_one_value(tmp_path: Path) -> None:
    settings = load_settings(var=tmp_path)
    with ThreadPoolExecutor(16) as pool:
        values = list(pool.map(lambda _: secret(settings, "kafka").get_secret_value(), range(64)))
    assert len(set(values)) == 1
    assert [p.name for p in settings.secrets_dir.iterdir()] == ["kafka"]


def test_secret_does_not_show_in_logs(tmp_path: Path) -> None:
    held = secret(load_settings(var=tmp_path), "redis")
    assert held.get_secret_value() not in repr(held) + str(held)

"""A step that fails says in one sentence what failed and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from kakou.disk_room import demand_room, told_when_disk_is_full
from kakou.errors import DiskFullError, InstallError, KakouError
from kakou.settings import Settings
from kakou.stack import debian, jars, lifecycle
from kakou.stack.rendering import make_folders, socket_path
from kakou.stack.steps import run_step
from kakou.whole_files import write_private


def _said(error: KakouError) -> str:
    text = str(error)
    assert "\n" not in text
    return text


def test_a_failing_program_is_named_with_its_last_words_and_the_mend() -> None:
    with pytest.raises(InstallError) as caught:
        run_step(["sh", "-c", "echo E: no such host >&2; exit 3"], what="It failed", mend="Mend it.")
    assert _said(caught.value) == "It failed (E: no such host). Mend it."


def test_a_silent_program_is_named_with_its_exit_code() -> None:
    with pytest.raises(InstallError, match=r"It failed \(exit code 7\)\. Mend it\."):
        run_step(["sh", "-c", "exit 7"], what="It failed", mend="Mend it.")


def test_a_missing_program_is_named() -> None:
    with pytest.raises(InstallError, match="program 'no-such-program' is not there"):
        run_step(["no-such-program"], what="It failed", mend="Mend it.")


def test_a_program_that_fills_the_disk_is_no_common_failure() -> None:
    with pytest.raises(DiskFullError) as caught:
        run_step(["sh", "-c", "cat /etc/passwd > /dev/full"], what="It failed", mend="Mend it.")
    assert "no room is left" in _said(caught.value)


def test_a_full_disk_is_one_sentence() -> None:
    with (
        pytest.raises(DiskFullError) as caught,
        told_when_disk_is_full(Path("/dev")),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x")
        full.flush()
    assert _said(caught.value).startswith("No room is left on the disk that holds /dev.")


def test_too_little_room_is_said_before_anything_starts(tmp_path: Path) -> None:
    demand_room(tmp_path / "not" / "made" / "yet", 0.0)
    with pytest.raises(DiskFullError) as caught:
        demand_room(tmp_path / "not" / "made" / "yet", 1e9)
    assert "GiB are free on the disk of" in _said(caught.value)


def test_other_errors_of_the_system_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), told_when_disk_is_full(tmp_path):
        (tmp_path / "missing").read_text()


def test_private_files_are_their_owners_alone_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["conf"]


def test_folders_with_secrets_are_closed(settings: Settings) -> None:
    make_folders(settings)
    for folder in (settings.secrets_dir, settings.run_dir, settings.data_dir):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_socket_path_always_fits(settings: Settings, tmp_path: Path) -> None:
    make_folders(settings)
    assert socket_path(settings, "a.sock") == settings.run_dir / "a.sock"
    deep = settings.model_copy(update={"var": tmp_path / ("x" * 120)})
    path = socket_path(deep, "a.sock")
    try:
        assert len(str(path)) < 107
        assert path == socket_path(deep, "a.sock")
        assert path.parent.stat().st_mode & 0o077 == 0
    finally:
        path.parent.rmdir()


def test_an_empty_parts_folder_is_named_with_the_mend(settings: Settings, tmp_path: Path) -> None:
    bare = settings.model_copy(update={"parts": tmp_path / "parts"})
    with pytest.raises(InstallError, match="make install"):
        lifecycle.demand_parts(bare)
    assert not debian.debian_ready(bare)
    assert not jars.jars_ready(bare, "kafka")


def test_old_java_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019' >&2\n")
    program.chmod(0o755)
    assert jars.java_version(program) == 11
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert jars.require_java() != program
    monkeypatch.setenv("PATH", str(program.parent))
    with pytest.raises(InstallError, match="Java 17 or later is missing"):
        jars.require_java()


def test_no_repository_of_jars_is_named_and_the_users_own_is_not_asked() -> None:
    text = (Path(jars.__file__).parent / "ivysettings.xml").read_text()
    assert "://" not in text
    assert "<ibiblio" in text
    assert "<filesystem" not in text

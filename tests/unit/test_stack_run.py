import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kakou.errors import RawFolderError
from kakou.settings import load_settings
from kakou.stack.run import run_everything
from kakou.whole_files import write_private


@pytest.mark.parametrize("made", [False, True])
def test_a_raw_folder_with_nothing_to_read_starts_nothing(tmp_path: Path, made: bool) -> None:
    raw = tmp_path / "raw"
    if made:
        raw.mkdir()
        (raw / "notes.txt").touch()
    with pytest.raises(RawFolderError, match="RAW=dir"):
        run_everything(load_settings(var=tmp_path / "var"), raw, seconds=10, clones=0)
    assert not (tmp_path / "var").exists()


def test_services_that_write_one_file_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    path, begin = tmp_path / "passwords.json", threading.Barrier(8)

    def write(_: int) -> None:
        begin.wait()
        for _ in range(50):
            write_private(path, "{}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert [one.name for one in tmp_path.iterdir()] == ["passwords.json"]

"""Whose turn it is on an output folder, and for which files and choices its artefacts are being made.

The steps read what the earlier ones wrote. So a whole run holds the folder, and where the steps are tasks of
their own, each of them holds it and checks that nobody else began another run in between.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from etl.io.parts import OUTPUT_MARK, list_raw_files
from etl.params import EtlParams
from kakou.errors import BadInputError
from kakou.process_lock import one_after_another
from kakou.whole_files import remove_abandoned, write_json

_NOTE = "run.json"


@contextmanager
def turn(out: Path, on_wait: Callable[[], None] | None = None, *, shared: bool = False) -> Iterator[None]:
    """Holds the output folder for the block; another run or step on it waits until it is free.

    What killed runs left half written is removed first.

    Args:
        on_wait: called once if it has to wait.
        shared: for steps that many workers do side by side, each for files or days of its own.
    """
    with one_after_another(out / OUTPUT_MARK, on_wait, shared=shared):
        for folder in (out, *(path for path in out.iterdir() if path.is_dir())):
            remove_abandoned(folder)
        yield


def demand_own_folder(raw: Path, out: Path) -> None:
    """Makes the output folder. It may lie in the raw one, as artefacts are no raw files, but not be it.

    Raises:
        BadInputError: it is the raw folder, or cannot be made or written to.
    """
    if out.resolve() == raw.resolve():
        raise BadInputError(f"The output folder {out} is the raw folder; name another with --out.")
    try:
        (out / "steps").mkdir(parents=True, exist_ok=True)
        (out / OUTPUT_MARK).touch()
    except OSError as error:
        raise BadInputError(
            f"The output folder {out} cannot be written to ({error.strerror}); name another with --out."
        ) from error


def begin(raw: Path, out: Path, params: EtlParams) -> None:
    """Notes what the artefacts of ``out`` are made from now on; call it in a ``turn``."""
    write_json(out / "steps" / _NOTE, {"run": fingerprint(raw, params)})


def demand_begun(raw: Path, out: Path, params: EtlParams) -> None:
    """Checks that the last run that began on ``out`` was for these files and choices.

    Raises:
        BadInputError: it was not, so what the next step would read is not what it expects.
    """
    try:
        begun = json.loads((out / "steps" / _NOTE).read_text(encoding="utf-8"))["run"]
    except (OSError, ValueError, KeyError, TypeError):
        begun = None
    if begun != fingerprint(raw, params):
        raise BadInputError(
            f"Since this run began, the files in {raw} changed or a run with other choices used {out}. "
            "Start it again from its first step."
        )


def fingerprint(raw: Path, params: EtlParams) -> str:
    """Equal for two runs that make the same artefacts: the same raw files and the same choices."""
    told = hashlib.sha256(json.dumps(asdict(params), sort_keys=True, default=str).encode())
    for name in list_raw_files(raw):
        state = (raw / name).stat()
        told.update(json.dumps([name, state.st_size, state.st_mtime_ns]).encode())
    return told.hexdigest()

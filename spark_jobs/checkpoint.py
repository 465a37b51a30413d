"""What a checkpoint was written by, so that another version refuses it in clear words instead of guessing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from kakou.errors import StateFormatError
from kakou.settings import Settings
from kakou.whole_files import write_text

_FILE = "formats.json"
_AGAIN = (
    "the query then reads again what Kafka still holds. Nothing is stored twice; "
    "a case may be warned of again."
)


def checkpoint_of(settings: Settings, query: str, formats: Mapping[str, int]) -> Path:
    """The checkpoint folder of a query, after a look at who wrote it.

    Args:
        query: name of the query.
        formats: what must not change while a checkpoint lives, by name.

    Raises:
        StateFormatError: it was written with other formats.
    """
    folder = settings.checkpoint_dir / query
    note = folder / _FILE
    wanted = dict(formats)
    if note.exists():
        found = json.loads(note.read_text(encoding="utf-8"))
        if found != wanted:
            raise StateFormatError(
                f"The checkpoint {folder} was written with {_in_words(found)}, "
                f"this version has {_in_words(wanted)}. Start what wrote it, or remove that folder: {_AGAIN}"
            )
    elif (folder / "offsets").exists():
        raise StateFormatError(
            f"The checkpoint {folder} does not say what wrote it. Remove that folder: {_AGAIN}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(note, json.dumps(wanted))
    return folder


def query_id(checkpoint: Path) -> str:
    """The id that Spark gave to the query of a checkpoint; it lives as long as the checkpoint does."""
    return str(json.loads((checkpoint / "metadata").read_text(encoding="utf-8"))["id"])


def _in_words(formats: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(formats.items()))

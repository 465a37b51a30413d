"""``Knowledge`` as bytes: a NumPy archive, which holds no code, and beside the arrays one JSON text."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any, Final

import numpy as np

from kakou.detection.knowledge import Feature, Knowledge
from kakou.detection.misreads import Confusion
from kakou.detection.weighing import Calibration
from kakou.errors import StateFormatError

KNOWLEDGE_FORMAT: Final = 1
_ARRAYS: Final = ("trips", "usual", "spread", "least", "follows", "busy", "constant")


def to_bytes(knowledge: Knowledge) -> bytes:
    """Everything that was learned."""
    words = {
        "format": KNOWLEDGE_FORMAT,
        "version": knowledge.version,
        "reviewed": [knowledge.reviewed.prior, knowledge.reviewed.trust] if knowledge.reviewed else None,
        "past": knowledge.past,
        "gates": knowledge.gates,
        "passes_a_day": knowledge.passes_a_day,
        "daily": knowledge.daily,
        "make": [knowledge.make.wrong, knowledge.make.share],
        "type": [knowledge.type.wrong, knowledge.type.share],
        "confusion": [
            [[true, shown, rate] for (true, shown), rate in knowledge.confusion.rate.items()],
            knowledge.confusion.elsewhere,
            knowledge.confusion.misread,
            knowledge.confusion.again,
        ],
    }
    text = np.frombuffer(json.dumps(words, ensure_ascii=False).encode(), dtype=np.uint8)
    out = io.BytesIO()
    np.savez_compressed(out, words=text, **{name: getattr(knowledge, name) for name in _ARRAYS})
    return out.getvalue()


def from_bytes(blob: bytes) -> Knowledge:
    """Reads what ``to_bytes`` wrote.

    Raises:
        StateFormatError: it is broken, or written by another version.
    """
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as held:
            words: dict[str, Any] = json.loads(held["words"].tobytes())
            if words["format"] != KNOWLEDGE_FORMAT:
                raise ValueError(f"format {words['format']}, not {KNOWLEDGE_FORMAT}")
            # An older run did not learn the last of them.
            rate, *more = words["confusion"]
            return Knowledge(
                version=words["version"],
                reviewed=Calibration(*reviewed) if (reviewed := words.get("reviewed")) else None,
                past=words.get("past", ""),
                gates=tuple(words["gates"]),
                passes_a_day=words["passes_a_day"],
                daily=words["daily"],
                make=Feature(*words["make"]),
                type=Feature(*words["type"]),
                confusion=Confusion({(a, b): share for a, b, share in rate}, *more),
                **{name: held[name] for name in _ARRAYS},
            )
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise StateFormatError(
            f"What was learned cannot be read ({type(error).__name__}: {error}). Run the DAG travel_times "
            "again."
        ) from error

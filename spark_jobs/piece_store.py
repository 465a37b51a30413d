"""Pieces of a detection state, kept by Spark under names that tell what is in them."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Final

from kakou.detection.state import Piece, State, from_bytes, to_bytes

PIECES_SCHEMA: Final = ("name string", "passes binary")
# Of this worker: pieces by key and name. A name says what is in a piece, so that a batch that is done again,
# or by another worker, finds what it would have read.
_held: dict[int, dict[str, Piece]] = {}


class PieceStore:
    """Pieces of the state under each key: the caller keeps the index, which names them, and Spark the pieces.

    A worker keeps the pieces that it has seen: what it reads of a full window with each batch is the index
    alone.

    Args:
        pieces: Spark's map of ``PIECES_SCHEMA``.
    """

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces

    def read(self, key: int, index: str | None, newest: int) -> State:
        """The state under the key that Spark has set.

        Args:
            index: what ``write`` gave; None before the first.
        """
        if index is None:
            _held[key] = {}
            return State(newest)
        held = _held.get(key, {})
        _held[key] = {
            name: held.get(name) or Piece(from_bytes(bytes(self._pieces.getValue((name,))[0])), level)
            for name, level in json.loads(index)
        }
        return State(newest, tuple(_held[key].values()))

    def write(self, key: int, state: State) -> str:
        """Writes what has changed since ``read``; returns the index."""
        before = _held[key]
        names = {id(piece): name for name, piece in before.items()}
        after: dict[str, Piece] = {}
        for piece in state.pieces:
            name = names.get(id(piece))
            if name is None:
                blob = to_bytes(piece.passes)
                name = blake2b(blob, digest_size=12).hexdigest()
                self._pieces.updateValue((name,), (blob,))
            after[name] = piece
        for name in before.keys() - after.keys():
            self._pieces.removeKey((name,))
        _held[key] = after
        return json.dumps([[name, piece.level] for name, piece in after.items()])

"""Pieces of a detection state, kept by Spark under names that tell what is in them."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Final

from pyspark.sql.streaming import StatefulProcessorHandle

from kakou.detection.state import LARGE, STATE_FORMAT, Piece, State, demand_format, from_bytes, to_bytes

_INDEX: Final = "format int, newest bigint, pieces string"
_NAME, _PASSES = "name string", "passes binary"
# Of this worker: pieces by store, key and name. A name says what is in a piece, so that a batch that is done
# again, or by another worker, finds what it would have read.
_held: dict[tuple[str, int], dict[str, Piece]] = {}


class PieceStore:
    """Pieces of the state under each key: an index, which names them, and the pieces.

    A worker keeps the pieces that it has seen: what it reads of a full window with each batch is the index
    alone.

    Args:
        handle: Spark's, of the batch.
        name: tells stores of one processor apart.
        large: as ``State.large``.
    """

    def __init__(self, handle: StatefulProcessorHandle, name: str, large: int = LARGE) -> None:
        self._name = name
        self._large = large
        self._index = handle.getValueState(f"{name}_index", _INDEX)
        self._pieces = handle.getMapState(f"{name}_pieces", _NAME, _PASSES)

    def read(self, key: int) -> State:
        """The state under the key that Spark has set.

        Raises:
            StateFormatError: it was written in another format.
        """
        place = self._name, key
        index = self._index.get()
        if index is None:
            _held[place] = {}
            return State(large=self._large)
        demand_format(index[0])
        held = _held.get(place, {})
        _held[place] = {
            name: held.get(name) or Piece(from_bytes(bytes(self._pieces.getValue((name,))[0])), level)
            for name, level in json.loads(index[2])
        }
        return State(index[1], tuple(_held[place].values()), self._large)

    def write(self, key: int, state: State) -> None:
        """Writes what has changed since ``read``."""
        place = self._name, key
        before = _held[place]
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
        index = json.dumps([[name, piece.level] for name, piece in after.items()])
        self._index.update((STATE_FORMAT, state.newest, index))
        _held[place] = after

"""Edge: joins Parquet files of one schema end to end without decoding them.

A Parquet file is row groups followed by a footer that says where each column chunk lies. Joining copies the
row groups byte for byte and writes one footer with all of them, their places moved. It costs what copying
costs; writing five million passes anew costs two processor seconds and needs memory.

Source: apache/parquet-format, README.md "File format" and parquet.thrift (numbers of the fields below);
apache/thrift, doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kakou.errors import StorageError

MAGIC: Final = b"PAR1"
# FileMetaData
_SCHEMA, _ROWS, _GROUPS = 2, 3, 4
# RowGroup
_COLUMNS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7
# ColumnChunk and ColumnMetaData: the fields that hold a place in the file. Page indexes lie outside of the
# row groups, so their places are forgotten.
_CHUNK_OFFSET, _CHUNK_META, _PAGE_INDEXES = 2, 3, (4, 5, 6, 7)
_META_OFFSETS: Final = (9, 10, 11)
_BLOOM_FILTER: Final = (14, 15)

# Types of the compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
Struct = dict[int, tuple[int, Any]]  # field number → (type, value)


def join_parquet(paths: Sequence[Path], target: Path) -> int:
    """Writes the rows of ``paths``, one file after the other, to ``target``; returns their number.

    Raises:
        StorageError: a file is no Parquet file, or its columns differ from those of the first.
    """
    footer: Struct = {}
    groups: list[Struct] = []
    rows = 0
    with target.open("wb") as sink:
        sink.write(MAGIC)
        for path in paths:
            length, meta = _footer(path)
            footer = footer or meta
            if meta[_SCHEMA] != footer[_SCHEMA]:
                raise StorageError(f"{path} has other columns than {paths[0]}; remove both, run again.")
            shift = sink.tell() - len(MAGIC)
            for group in meta[_GROUPS][1][1]:
                groups.append(_moved(group, shift, len(groups)))
            rows += meta[_ROWS][1]
            with path.open("rb") as source:
                source.seek(len(MAGIC))
                _copy(source, sink, length - len(MAGIC))
        footer[_ROWS] = (_I64, rows)
        footer[_GROUPS] = (_LIST, (_STRUCT, groups))
        written = bytearray()
        _write_struct(written, footer)
        sink.write(written + len(written).to_bytes(4, "little") + MAGIC)
    return rows


def _copy(source: Any, sink: Any, length: int) -> None:
    while length > 0:
        chunk = source.read(min(length, 1 << 22))
        if not chunk:
            raise StorageError(f"{source.name} is shorter than its footer says; remove it and run again.")
        sink.write(chunk)
        length -= len(chunk)


def _footer(path: Path) -> tuple[int, Struct]:
    """Where the row groups end, and what the footer says."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        start = size - 8 - int.from_bytes(tail[:4], "little")
        if tail[4:] != MAGIC or start < len(MAGIC):
            raise StorageError(f"{path} is no whole Parquet file; remove it and run again.")
        file.seek(start)
        return start, _Reader(file.read(size - 8 - start)).struct()


def _moved(group: Struct, shift: int, ordinal: int) -> Struct:
    """The row group as it is described ``shift`` bytes further on."""
    if _GROUP_OFFSET in group:
        group[_GROUP_OFFSET] = (_I64, group[_GROUP_OFFSET][1] + shift)
    if _ORDINAL in group:
        # Two bytes with a sign; readers do without the number where it does not fit.
        group.pop(_ORDINAL) if ordinal > 32_767 else group.update({_ORDINAL: (_I16, ordinal)})
    for chunk in group[_COLUMNS][1][1]:
        for number in _PAGE_INDEXES:
            chunk.pop(number, None)
        if chunk[_CHUNK_OFFSET][1]:
            chunk[_CHUNK_OFFSET] = (_I64, chunk[_CHUNK_OFFSET][1] + shift)
        meta: Struct = chunk[_CHUNK_META][1]
        for number in _META_OFFSETS:
            if number in meta:
                meta[number] = (_I64, meta[number][1] + shift)
        for number in _BLOOM_FILTER:
            meta.pop(number, None)
    return group


class _Reader:
    """Reads values of the compact protocol; knows no schema, so it keeps fields of any later version."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while True:
            head = self.data[self.at]
            self.at += 1
            if not head:
                return fields
            kind, step = head & 15, head >> 4
            number = number + step if step else self.zigzag()
            fields[number] = (kind, self.value(kind))

    def value(self, kind: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return None  # the type says it
        if kind in (_I16, _I32, _I64):
            return self.zigzag()
        if kind in (_BYTE, _DOUBLE):
            return self.take(1 if kind == _BYTE else 8)
        if kind == _BINARY:
            return self.take(self.varint())
        if kind in (_LIST, _SET):
            return self.items()
        if kind == _STRUCT:
            return self.struct()
        raise StorageError(f"A Parquet footer holds a value of type {kind}, which Parquet does not use.")

    def items(self) -> tuple[int, list[Any]]:
        head = self.take(1)[0]
        kind, count = head & 15, head >> 4
        if count == 15:
            count = self.varint()
        # A flag in a list has a byte of its own.
        return kind, [self.take(1) if kind in (_TRUE, _FALSE) else self.value(kind) for _ in range(count)]

    def take(self, length: int) -> bytes:
        self.at += length
        return self.data[self.at - length : self.at]

    def varint(self) -> int:
        result = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            result |= (byte & 127) << shift
            if byte < 128:
                return result
            shift += 7

    def zigzag(self) -> int:
        number = self.varint()
        return (number >> 1) ^ -(number & 1)


def _write_struct(out: bytearray, fields: Struct) -> None:
    last = 0
    for number, (kind, value) in sorted(fields.items()):
        step = number - last
        if 0 < step < 16:
            out.append(step << 4 | kind)
        else:
            out.append(kind)
            _write_zigzag(out, number)
        last = number
        if kind not in (_TRUE, _FALSE):
            _write_value(out, kind, value)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (_I16, _I32, _I64):
        _write_zigzag(out, value)
    elif kind == _STRUCT:
        _write_struct(out, value)
    elif kind in (_LIST, _SET):
        of, items = value
        out.append(min(len(items), 15) << 4 | of)
        if len(items) >= 15:
            _write_varint(out, len(items))
        for item in items:
            _write_value(out, of, item)
    else:
        if kind == _BINARY:
            _write_varint(out, len(value))
        out += value


def _write_varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _write_zigzag(out: bytearray, number: int) -> None:
    _write_varint(out, number << 1 if number >= 0 else (-number << 1) - 1)

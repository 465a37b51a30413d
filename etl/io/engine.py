"""The DuckDB that the batch steps run in: bounded memory, its spill below the output folder, nothing
fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from kakou.disk_room import disk_full, says_disk_full
from kakou.errors import BadInputError, DiskFullError
from kakou.whole_files import scratch_folder

MEMORY_LIMIT = "1500MB"
# How every Parquet file is written. Dictionaries are for the few words of a column; ids need none.
PARQUET = "(FORMAT parquet, COMPRESSION snappy, DICTIONARY_SIZE_LIMIT 20000)"


@contextmanager
def engine(
    out: Path, *, threads: int | None = None, memory: str = MEMORY_LIMIT, joinable: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private in-memory database whose larger-than-memory work spills below ``out``; removed afterwards.

    Args:
        joinable: Parquet files that it writes have equal schemas and can be joined by ``join_parquet``.

    Raises:
        DiskFullError: no room for the spill or the result.
        BadInputError: the engine could not use what it was given.
    """
    with (
        scratch_folder(out, "spill") as spill,
        _said_plainly(out),
        closing(_connect(spill, threads, memory)) as con,
    ):
        if joinable:
            # Else a column is written as REQUIRED wherever the engine can prove that it holds no NULL.
            con.execute("SET disabled_optimizers = 'statistics_propagation'")
        yield con


def _connect(spill: Path, threads: int | None, memory: str) -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | int] = {
        "memory_limit": memory,
        "temp_directory": str(spill),
        "autoinstall_known_extensions": "false",
        "preserve_insertion_order": "true",
        "python_enable_replacements": "false",  # a table name never means a variable of ours
    }
    if threads:
        settings["threads"] = threads
    connection = duckdb.connect(config=settings)
    connection.execute("SET TimeZone='UTC'")
    connection.execute("SET enable_progress_bar = false")  # it would write into our output
    return connection


@contextmanager
def _said_plainly(out: Path) -> Iterator[None]:
    """Turns the engine's errors into ours, one sentence each."""
    try:
        yield
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        if says_disk_full(str(error)):
            raise disk_full(out) from error
        raise BadInputError(f"{out}: {_first_line(error)}") from error
    except duckdb.OutOfMemoryException as error:
        raise DiskFullError(
            f"The disk that holds {out} has no room for what does not fit into memory "
            f"({_first_line(error)}). Free some and run the command again."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]

"""The DuckDB that the batch steps run in: bounded memory, its spill below the output folder, nothing
fetched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import duckdb

from kakou.errors import BadInputError, DiskFullError

MEMORY_LIMIT = "1500MB"


@contextmanager
def engine(
    out: Path, *, threads: int | None = None, memory: str = MEMORY_LIMIT
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private in-memory database whose larger-than-memory work spills below ``out``; removed afterwards.

    Raises:
        DiskFullError: no room for the spill or the result.
        BadInputError: the engine could not use what it was given.
    """
    out.mkdir(parents=True, exist_ok=True)
    spill = Path(mkdtemp(prefix=".spill-", dir=out))
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
    try:
        connection.execute("SET TimeZone='UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would write into our output
        yield connection
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        if "No space left" in str(error) or "disk" in str(error).lower():
            raise DiskFullError(
                f"No room is left below {out}; free some and run the command again."
            ) from error
        raise BadInputError(f"{out}: {_first_line(error)}") from error
    except duckdb.OutOfMemoryException as error:
        raise DiskFullError(f"{out}: {_first_line(error)}") from error
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]

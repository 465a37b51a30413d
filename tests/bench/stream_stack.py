"""A stack of the benchmark's own: stores on free ports, in a folder that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from stream_traffic import write_gates

from kakou.connections import connect, node_names
from kakou.disk_room import demand_room
from kakou.settings import Settings, load_settings
from kakou.stack import lifecycle
from kakou.stack.catalogue import STORES
from kakou.stack.ports import free_offset
from kakou.stack.supervision import Supervisor
from sql.gates import load_gates

# Rows with four indexes, their log, the topic, the state and its last versions; measured below 1 KiB.
BYTES_A_RECORD, SPARE_GIB = 2_000, 2.0
FIRST_OFFSET, LAST_OFFSET, STEP = 10_000, 23_000, 100
FAILED_LOG = "failed-stream.log"  # of the last run that broke off
PASS_TABLES = ("traffic_data", "flow_hourly", "duplicate_records", "rejected_records", "batch_ledger")


@contextmanager
def private_stack(work: Path, records: int, **overrides: object) -> Iterator[Settings]:
    """Settings of running stores with schema, topics and the gates of ``stream_traffic``; ours alone.

    Args:
        work: a folder is made in it, and removed at the end with all that runs there.
        records: how many will be stored, for the room on the disk.
        overrides: settings that differ from the defaults.

    Raises:
        DiskFullError: too little room.
    """
    demand_room(work, records * BYTES_A_RECORD / 2**30 + SPARE_GIB)
    work.mkdir(parents=True, exist_ok=True)
    var = Path(tempfile.mkdtemp(prefix="stack-", dir=work))
    first = FIRST_OFFSET + os.getpid() % 100 * STEP
    settings = load_settings(
        _env_file=None, var=var, parts=load_settings().parts,
        port_offset=free_offset("127.0.0.1", first, STEP, LAST_OFFSET), **overrides,
    )  # fmt: skip
    try:
        lifecycle.up(settings, set(STORES), console=Console(quiet=True))
        dimension = settings.clean_dir / "kkmc_dimension.csv"
        write_gates(dimension)
        load_gates(settings, dimension)
        yield settings
    except Exception:
        if stream_log(settings).exists():
            shutil.copyfile(stream_log(settings), work / FAILED_LOG)
        raise
    finally:
        lifecycle.down(settings)
        shutil.rmtree(var, ignore_errors=True)


def stream_log(settings: Settings) -> Path:
    """What the stream says, however often it is started."""
    return settings.log_dir / "bench-stream.log"


def store_pids(settings: Settings) -> dict[str, int]:
    """Process id of each store by its name in ``kakou status``."""
    return {name: one.pid for name, one in Supervisor(settings).states().items() if one.pid}


def empty_passes(settings: Settings) -> None:
    """Empties what a writer fills, so that the next one meets the same tables."""
    for node in node_names(settings):
        connection = connect(settings, node, "root", autocommit=True)
        with connection, connection.cursor() as cursor:
            for table in PASS_TABLES:
                cursor.execute(f"TRUNCATE TABLE {table}")

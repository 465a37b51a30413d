"""Each module can be the first one that a process imports: a circle would show only in some command."""

from __future__ import annotations

import subprocess
import sys

# Libraries are loaded once in the parent; each module of ours is loaded from nothing in a child of its own.
_EACH_ALONE = """
import importlib, os, pkgutil, sys
import kafka, pandas, polars, pyarrow, pymysql, pyspark, redis, rich, structlog, typer
failed = []
for package in ("etl.ship", "spark_jobs.ledger", "spark_jobs.rejected", "spark_jobs.sinks", "sql"):
    place = importlib.util.find_spec(package).submodule_search_locations
    for one in pkgutil.walk_packages(place, package + ".", onerror=lambda name: None):
        if "migrations" in one.name:
            continue
        child = os.fork()
        if not child:
            try:
                importlib.import_module(one.name)
            except ImportError as error:
                print(one.name, error, flush=True)
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            failed.append(one.name)
sys.exit(len(failed) and 1)
"""


def test_no_module_needs_another_to_be_imported_before_it() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import importlib.util\n" + _EACH_ALONE],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert told.returncode == 0, told.stdout + told.stderr

"""Spark's own JDBC writer with its defaults, as the yardstick of the direct writer.

As a module it fetches the drivers; as a program (``stream_jdbc.py JARS WARM PARTS CONTESTANT``) it is
measured: each file ``dn1.parquet``, ``dn2.parquet`` of a folder is one partition and is written by
``DataFrame.write.jdbc`` in append mode, all at once, so there are as many connections as the direct
writer has. Nothing is tuned: batch size and driver options are the defaults. The rows lie in Spark's memory
before the clock starts, and the folder WARM is written first.

Spark's writer knows one address and no rule of placement, so by itself it writes to the endpoint. It is also
given what it lacks: each partition holds the rows of one node and goes straight there. MySQL's own driver is
the one for production's MySQL. MariaDB's driver sends a batch to a MariaDB server in a bulk protocol that no
MySQL has; it is measured with and without.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench_jars import fetch_jars

from kakou.connections import database_of
from kakou.secret_files import secret
from kakou.settings import Settings, load_settings

IVY_FILE = Path(__file__).with_name("ivy-jdbc.xml")
_MYSQL, _MARIADB = "com.mysql.cj.jdbc.Driver", "org.mariadb.jdbc.Driver"
# Contestant to class, options, and whether each partition goes straight to its node. Spark quotes names as
# the server wants them only under "jdbc:mysql:", which MariaDB's driver must be allowed to take.
AS_IT_COMES = "to the endpoint"
CONTESTANTS = {
    AS_IT_COMES: (_MYSQL, "", False),
    "to the nodes": (_MYSQL, "", True),
    "to the nodes, MariaDB's driver": (_MARIADB, "?permitMysqlScheme", True),
    "to the nodes, the same without bulk": (
        _MARIADB,
        "?permitMysqlScheme&useBulkStmts=false&useBulkStmtsForInserts=false",
        True,
    ),
}


def fetch_drivers(settings: Settings, folder: Path) -> Path:
    """A folder in ``folder`` with the jars of the drivers, fetched unless they are there.

    Raises:
        InstallError: Java is missing or the jar cannot be fetched.
    """
    return fetch_jars(settings, IVY_FILE, folder, "The JDBC drivers", "leave the part `writer` out")


def write(settings: Settings, drivers: Path, warm: Path, parts: Path, contestant: str) -> dict[str, float]:
    """Writes each file of both folders, which is named after its node; only ``parts`` is timed.

    Args:
        drivers: folder of their jars.
        contestant: one of ``CONTESTANTS``.

    Returns:
        ``rows`` and ``seconds``.
    """
    from spark_jobs.session import build_session

    jars = [*drivers.glob("*.jar"), *sorted((settings.parts / "jars" / "spark").glob("*.jar"))]
    spark = build_session(settings, "bench-jdbc", extra={"spark.jars": ",".join(map(str, jars))})
    driver, options, straight = CONTESTANTS[contestant]
    account = {
        "driver": driver, "user": "kakou_writer",
        "password": secret(settings, "db_writer").get_secret_value(),
    }  # fmt: skip

    def append(node: str, frame: Any) -> None:
        server = node if straight else "endpoint"
        url = f"jdbc:mysql://{settings.host}:{settings.port(server)}/{database_of(server)}{options}"
        frame.write.jdbc(url, "traffic_data", mode="append", properties=account)

    found: dict[str, float] = {}
    for folder in (warm, parts):
        files = sorted(folder.glob("*.parquet"))
        frames = {file.stem: spark.read.parquet(str(file)).coalesce(1).cache() for file in files}
        rows = sum(frame.count() for frame in frames.values())
        began = time.monotonic()
        with ThreadPoolExecutor(len(frames)) as pool:
            list(pool.map(append, frames, frames.values()))
        found = {"rows": rows, "seconds": time.monotonic() - began}
    spark.stop()
    return found


if __name__ == "__main__":
    places = [Path(one) for one in sys.argv[1:4]]
    print(json.dumps(write(load_settings(_env_file=None), *places, contestant=sys.argv[4])))

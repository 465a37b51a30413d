"""Spark's own JDBC writer with its defaults, as the yardstick of the direct writer.

As a module it fetches the driver; as a program (``stream_jdbc.py JAR WARM PARTS [OPTIONS]``) it is measured:
each file ``dn1.parquet``, ``dn2.parquet`` of a folder is one partition and goes to its node by
``DataFrame.write.jdbc`` in append mode, all nodes at once, so there are as many connections as the direct
writer has. Nothing is tuned: batch size and driver options are the defaults. The rows lie in Spark's memory
before the clock starts, and the folder WARM is written first.

By default this driver sends a batch to a MariaDB server in its own bulk protocol, which no MySQL has;
``WITHOUT_BULK`` is how it writes to the MySQL of production.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

from kakou.connections import NODE_DATABASE
from kakou.secret_files import secret
from kakou.settings import Settings, load_settings
from kakou.stack.jars import pyspark_jars, require_java
from kakou.stack.steps import run_step

IVY_FILE = Path(__file__).with_name("ivy-jdbc.xml")
DRIVER = "org.mariadb.jdbc.Driver"
WITHOUT_BULK = "&useBulkStmts=false&useBulkStmtsForInserts=false"


def fetch_driver(settings: Settings, folder: Path) -> Path:
    """The jar of the driver in ``folder``, fetched unless it is there.

    Raises:
        InstallError: Java is missing or the jar cannot be fetched.
    """
    for jar in folder.glob("*.jar"):
        return jar
    folder.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files("kakou.stack").joinpath("ivysettings.xml")) as ivy_settings:
        run_step(
            [
                require_java(), "-Djava.net.useSystemProxies=true",
                f"-Dkakou.ivy.cache={settings.parts / 'ivy'}", "-cp", f"{pyspark_jars()}/*",
                "org.apache.ivy.Main", "-settings", ivy_settings, "-ivy", IVY_FILE, "-confs", "default",
                "-warn", "-types", "jar", "bundle", "-retrieve",
                folder / "[artifact]-[revision](-[classifier]).[ext]",
            ],
            what="The JDBC driver could not be fetched",
            mend="Check the network (https to Maven Central), or leave the part `writer` out.",
        )  # fmt: skip
    return next(folder.glob("*.jar"))


def write(settings: Settings, jar: Path, warm: Path, parts: Path, options: str) -> dict[str, float]:
    """Writes each file of both folders to the node that it is named after; only ``parts`` is timed.

    Args:
        options: further ones of the driver, as at the end of an address (``&name=value``).

    Returns:
        ``rows`` and ``seconds``.
    """
    from spark_jobs.session import build_session

    jars = [jar, *sorted((settings.parts / "jars" / "spark").glob("*.jar"))]
    spark = build_session(settings, "bench-jdbc", extra={"spark.jars": ",".join(map(str, jars))})
    account = {
        "driver": DRIVER, "user": "kakou_writer",
        "password": secret(settings, "db_writer").get_secret_value(),
    }  # fmt: skip

    def append(node: str, frame: Any) -> None:
        # Spark quotes names as the server wants them only under this scheme.
        url = f"jdbc:mysql://{settings.host}:{settings.port(node)}/{NODE_DATABASE}?permitMysqlScheme{options}"
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
    print(json.dumps(write(load_settings(_env_file=None), *places, options="".join(sys.argv[4:]))))

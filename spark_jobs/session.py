"""The one way to a SparkSession: small, quiet, on loopback, and without a network for its jars."""

from __future__ import annotations

import os
import shutil
import sys

from pyspark.sql import SparkSession

from kakou.errors import ServiceError
from kakou.settings import Settings

# A driver of this size spends most of its memory outside the heap; these keep it near the heap's size on two
# cores.
_JVM_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:ReservedCodeCacheSize=128m",
    "-XX:MaxMetaspaceSize=320m",
    "-XX:CICompilerCount=2",
    "-Xss1m",
    "-Djava.net.preferIPv4Stack=true",
)
# A batch writes a dozen small files of its checkpoint. Without Hadoop's native library, which Spark does not
# bring, its classes for local files start `chmod` and `readlink` for each: half of the time of a small batch.
_LOCAL_FILES = {
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
}
_QUIET = "log4j2-quiet.properties"


def build_session(settings: Settings, name: str, *, extra: dict[str, str] | None = None) -> SparkSession:
    """Starts Spark, or returns the session that this process already has.

    Args:
        settings: master, heap, zone, jars and folders are taken from it.
        name: what the application is called in logs; its scratch folder too.
        extra: further Spark properties, which win over ours.

    Raises:
        ServiceError: no Java, or Spark does not start.
    """
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise ServiceError("Spark needs Java 17 or later, and none is found. Run `make install`.")
    # Should a job start Python workers, they must be the same Python.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", settings.host)
    # glibc keeps a heap for each thread of the JVM and what was freed in it; with two heaps, and large pieces
    # given back at once, memory stays flat.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 20))
    # Thread pools as wide as the machine would only get in the way of the JVM.
    os.environ.setdefault("POLARS_MAX_THREADS", "2")
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    builder = SparkSession.builder.appName(name).master(settings.spark_master)
    for key, value in (_properties(settings, name) | (extra or {})).items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except Exception as error:
        why = type(error).__name__
        raise ServiceError(f"Spark did not start ({why}). Free memory and try again.") from error
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _properties(settings: Settings, name: str) -> dict[str, str]:
    scratch = settings.run_dir / "spark" / name
    scratch.mkdir(parents=True, exist_ok=True)
    jars = settings.parts / "jars" / "spark"
    return {
        **(_LOCAL_FILES if settings.spark_master.startswith("local") else {}),
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.host": settings.host,
        "spark.driver.bindAddress": settings.host,
        "spark.driver.extraJavaOptions": " ".join(
            (
                *_JVM_FLAGS,
                # In quotes, because Spark splits the options as a shell does.
                f'"-Dderby.system.home={scratch}"',
                f'"-Djava.io.tmpdir={scratch}"',
                _log4j(settings),
            )
        ),
        "spark.jars": ",".join(str(jar) for jar in sorted(jars.glob("*.jar"))),
        # The class for files is needed before Spark looks at its jars.
        "spark.driver.extraClassPath": f"{jars}/*",
        "spark.jars.ivy": str(scratch / "ivy"),
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": settings.timezone,
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
        # Spark keeps the offsets of so many batches; a hundred are never needed.
        "spark.sql.streaming.minBatchesToRetain": "10",
        "spark.sql.streaming.noDataMicroBatches.enabled": "false",
        "spark.sql.streaming.metricsEnabled": "false",
    }


def _log4j(settings: Settings) -> str:
    """Writes the logging configuration that keeps Spark quiet from its first line, and names it."""
    path = settings.run_dir / "spark" / _QUIET
    lines = [
        "rootLogger.level = error",
        "rootLogger.appenderRef.console.ref = console",
        "appender.console.type = Console",
        "appender.console.name = console",
        "appender.console.target = SYSTEM_ERR",
        "appender.console.layout.type = PatternLayout",
        "appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss} %p %c{1}: %m%n",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"-Dlog4j2.configurationFile={path.as_uri()}"

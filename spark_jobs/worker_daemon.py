"""The parent of the stream's Python workers, with their libraries loaded before the first is forked.

Named to Spark by ``spark.python.daemon.module``. Each worker then starts in milliseconds instead of
seconds, and they share the memory of what was loaded. Nothing is *run* here: a library that had started
threads could not be forked.
"""

from __future__ import annotations

import pandas
import polars
import pyarrow
from pyspark import daemon

from spark_jobs import bucket

LOADED = (pandas, polars, pyarrow, bucket)

if __name__ == "__main__":
    daemon.manager()

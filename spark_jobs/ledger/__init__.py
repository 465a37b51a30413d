"""The proof that nothing was lost and nothing doubled: what was read (``evidence``), the rule (``laws``), the
edge (``check``)."""

from spark_jobs.ledger.check import read_ledger, topic_spans
from spark_jobs.ledger.evidence import Ledger, PartitionLedger
from spark_jobs.rejected.records import rejected_records

__all__ = ["Ledger", "PartitionLedger", "read_ledger", "rejected_records", "topic_spans"]

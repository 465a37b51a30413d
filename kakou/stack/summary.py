"""What came out at each stage, counted at the stores themselves, and where everything is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from kafka import KafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from kakou import redis_keys
from kakou.connections import connect, kafka_options, node_names, redis_client
from kakou.secret_files import secret, secret_path
from kakou.settings import Settings


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts over the life of this stack.

    Attributes:
        offsets: records that Kafka took into the topic of passes.
        stored: rows that the stream stored, by node in ``stored_by_node``; rows that retention has deleted
            since still count here and not in ``rows_by_node``.
        rejected, duplicates: records that the stream set aside, and records of an id that was there already.
        shipped: the newest line of the simulator's log has arrived in a node.
        planted, planted_seen: clones planted by this run, and those of them found in ``traffic:warnings``.
    """

    offsets: int
    stored_by_node: dict[str, int]
    rows_by_node: dict[str, int]
    rejected: int
    duplicates: int
    shipped: bool
    planted: int
    planted_seen: int
    detection: dict[str, str] = field(default_factory=dict)
    warnings: int = 0

    @property
    def stored(self) -> int:
        return sum(self.stored_by_node.values())

    @property
    def complete(self) -> bool:
        """Everything produced is accounted for."""
        return self.shipped and self.offsets == self.stored + self.rejected + self.duplicates


def count_everything(settings: Settings, planted: list[dict[str, Any]]) -> Counts:
    """Counts now; cheap enough to be asked every second."""
    stored: dict[str, int] = {}
    rows: dict[str, int] = {}
    duplicates = rejected = 0
    newest = _newest_id(settings)
    shipped = newest is None
    for node in node_names(settings):
        with connect(settings, node, "kakou_reader") as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT COALESCE(SUM(stored), 0), COALESCE(SUM(duplicates), 0), COALESCE(SUM(rejected), 0) "
                "FROM batch_ledger"
            )
            sums = cursor.fetchone()
            stored[node], duplicates, rejected = (
                int(sums[0]),
                duplicates + int(sums[1]),
                rejected + int(sums[2]),
            )
            cursor.execute("SELECT COUNT(*) FROM traffic_data")
            rows[node] = int(cursor.fetchone()[0])
            if newest is not None:
                cursor.execute("SELECT COUNT(*) FROM traffic_data WHERE id = %s", (newest,))
                shipped = shipped or bool(cursor.fetchone()[0])
    store = redis_client(settings)
    listed = [json.loads(text) for text in store.lrange(redis_keys.WARNINGS, 0, -1)]
    warned = {gcxh for alert in listed for gcxh in (alert["first"]["gcxh"], alert["second"]["gcxh"])}
    return Counts(
        offsets=_offsets(settings),
        stored_by_node=stored,
        rows_by_node=rows,
        rejected=rejected,
        duplicates=duplicates,
        shipped=shipped,
        planted=len(planted),
        planted_seen=sum(clone["second_gcxh"] in warned for clone in planted),
        detection={str(k): str(v) for k, v in store.hgetall(redis_keys.DETECTION_COUNTS).items()},
        warnings=len(listed),
    )


def _newest_id(settings: Settings) -> str | None:
    """Pass id in the last whole line of the simulator's log."""
    path = settings.sim_dir / "passes.log"
    if not path.exists():
        return None
    with path.open("rb") as log:
        log.seek(0, 2)
        log.seek(max(0, log.tell() - 4096))
        lines = log.read().split(b"\n")
    return lines[-2].split(b"\t")[0].decode() if len(lines) > 1 else None


def _offsets(settings: Settings) -> int:
    """Records that Kafka took, over all partitions; offsets start at 0 and never go back."""
    consumer = KafkaConsumer(**kafka_options(settings))
    try:
        numbers = consumer.partitions_for_topic(settings.topic) or ()
        partitions = [TopicPartition(settings.topic, number) for number in numbers]
        return sum(consumer.end_offsets(partitions).values())
    finally:
        consumer.close()


def _champion(settings: Settings) -> list[tuple[str, str]]:
    """Name, version and metrics of the champion, from MLflow itself."""
    client = httpx.Client(
        base_url=f"http://{settings.host}:{settings.port('mlflow')}/api/2.0/mlflow",
        auth=("admin", secret(settings, "mlflow_admin").get_secret_value()),
        trust_env=False,
        timeout=30,
    )
    found = client.get("/registered-models/alias", params={"name": "traffic_flow_model", "alias": "champion"})
    if found.status_code != httpx.codes.OK:
        return []
    version = found.json()["model_version"]
    run = client.get("/runs/get", params={"run_id": version["run_id"]}).json()["run"]
    metrics = {one["key"]: one["value"] for one in run["data"].get("metrics", [])}
    shown = [("champion", f"traffic_flow_model/{version['version']}")]
    return shown + [(name, f"{metrics[name]:.4g}") for name in sorted(metrics)]


def print_summary(settings: Settings, counts: Counts, console: Console) -> None:
    """The closing table of ``make run``."""
    console.print(_stages(settings, counts))
    console.print(_model(settings))
    _print_addresses(settings, console)


def _stages(settings: Settings, counts: Counts) -> Table:
    table = Table(title="What came out / 各环节结果", title_justify="left")
    table.add_column("stage")
    table.add_column("count", justify="right")
    table.add_column("remark")
    report_path = settings.clean_dir / "report.json"
    if report_path.exists():
        report = json.loads(report_path.read_text(encoding="utf-8"))
        table.add_row("raw rows read", f"{report['rows_read']:,}", f"{len(report['files'])} files")
        table.add_row("  kept", f"{report['rows_kept']:,}", f"observed {report['observed_share']:.1%}")
        table.add_row("  duplicates", f"{report['rows_duplicate']:,}", "same pass id")
        table.add_row("  set aside", f"{sum(report['rejected'].values()):,}", _list(report["rejected"]))
        table.add_row("  plates", "", _list(report["plates"]))
    table.add_row("records into Kafka", f"{counts.offsets:,}", settings.topic)
    table.add_row("stored", f"{counts.stored:,}", _list(counts.stored_by_node))
    table.add_row(
        "  in traffic_data now", f"{sum(counts.rows_by_node.values()):,}", _list(counts.rows_by_node)
    )
    table.add_row("rejected", f"{counts.rejected:,}", settings.rejected_topic)
    table.add_row("duplicates", f"{counts.duplicates:,}", "")
    table.add_row("balanced", "yes" if counts.complete else "NO", "Kafka = stored + rejected + duplicates")
    table.add_row("planted clones warned of", f"{counts.planted_seen} of {counts.planted}", "this run")
    table.add_row("warnings in Redis", f"{counts.warnings:,}", redis_keys.WARNINGS)
    table.add_row(
        "passes without a verdict",
        f"{int(counts.detection.get('withheld', 0)):,}",
        "masked or malformed plate: withheld, no clone can be decided",
    )
    return table


def _model(settings: Settings) -> Table:
    table = Table(title="Flow model / 流量模型", title_justify="left", show_header=False)
    text = redis_client(settings).get(redis_keys.FLOW_STATUS)
    status = json.loads(text) if text else {"status": "unknown", "reason": "no training has ended yet"}
    table.add_row("forecast", status["status"])
    if status.get("reason"):
        table.add_row("reason", status["reason"])
    if status["status"] == "published":
        for name, value in _champion(settings):
            table.add_row(name, value)
    return table


def _print_addresses(settings: Settings, console: Console) -> None:
    """Lines and no table: a table would break an address or a path where the terminal is narrow."""
    places = (
        ("screen, API", "http://", "api", "admin", "api_admin"),
        ("Airflow", "http://", "airflow", "admin", "airflow_admin"),
        ("MLflow", "http://", "mlflow", "admin", "mlflow_admin"),
        ("endpoint MYETCDB", "", "endpoint", "kakou_reader", "db_reader"),
        *((f"node {name}", "", name, "kakou_reader", "db_reader") for name in node_names(settings)),
        ("Redis", "", "redis", "default", "redis"),
        ("Kafka", "", "kafka", "kakou", "kafka"),
    )
    console.print("Where everything is, its user and the file with its password / 地址、用户名与密码文件")
    for what, scheme, service, user, name in places:
        address = f"{scheme}{settings.host}:{settings.port(service)}"
        line = f"  {what:<17} {address:<22} {user:<13} {secret_path(settings, name)}"
        console.print(line, soft_wrap=True, highlight=False)


def _list(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in values.items())

"""``kakou stream``: how far the stream is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from kakou.settings import Settings, load_settings

stream = typer.Typer(
    name="stream", no_args_is_help=True, help="实时流 · The stream: its lag, speed and time to catch up."
)


@dataclass(frozen=True, slots=True)
class QueryStatus:
    """One query now.

    Attributes:
        lag: records of the topic that it has not taken yet; None if it has never ended a batch.
        catch_up_seconds: until the lag is gone, if all goes on as now; None if it does not shrink.
        at: when its last batch ended.
    """

    query: str
    lag: int | None
    handled_per_second: float | None = None
    arriving_per_second: float | None = None
    catch_up_seconds: float | None = None
    batch: int | None = None
    batch_records: int | None = None
    batch_seconds: float | None = None
    at: str | None = None


@stream.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show lag, speed and time to catch up of each query of the stream.

    Example: kakou stream status
    """
    rows = query_states(load_settings())
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], ensure_ascii=False))
        return
    table = Table("query", "lag", "handled/s", "arriving/s", "caught up in", "last batch", "ended at")
    for row in rows:
        if row.lag is None:
            table.add_row(row.query, "no batch yet", "", "", "", "", "")
            continue
        caught_up = (
            "not while it goes on so" if row.catch_up_seconds is None else f"{row.catch_up_seconds:.0f} s"
        )
        batch = (
            ""
            if row.batch is None
            else f"{row.batch}: {row.batch_records:,} records in {row.batch_seconds:.2f} s"
        )
        speeds = [f"{row.handled_per_second:,.0f}", f"{row.arriving_per_second:,.0f}"]
        table.add_row(row.query, f"{row.lag:,}", *speeds, caught_up, batch, str(row.at))
    Console().print(table)


@stream.command()
def rebuild_warnings() -> None:
    """Make the Redis list of warnings anew from the table, after Redis was emptied by hand.

    The stream does this by itself where Redis has lost everything.

    Example: kakou stream rebuild-warnings
    """
    import pymysql
    import redis

    from kakou.errors import StorageError
    from spark_jobs.sinks.alerts import AlertList, AlertTable

    settings = load_settings()
    listed = AlertList(settings)
    try:
        typer.echo(f"{listed.rebuild(AlertTable(settings))} warnings are in Redis")
    except (redis.RedisError, pymysql.MySQLError) as error:
        why = type(error).__name__
        raise StorageError(f"Redis or the first node does not answer ({why}). See `kakou status`.") from error
    finally:
        listed.close()


def query_states(settings: Settings) -> list[QueryStatus]:
    """Both queries, their lag against what the topic holds at this moment.

    Raises:
        StorageError: Redis or Kafka is away.
    """
    import kafka.errors
    import redis

    from kakou import redis_keys
    from kakou.connections import redis_client
    from kakou.errors import StorageError
    from spark_jobs import detect, ingest
    from spark_jobs.ledger.check import topic_spans

    try:
        ends = {str(number): end for number, (_, end) in topic_spans(settings).items()}
        with redis_client(settings) as client:
            told = {
                name: client.hgetall(redis_keys.STREAM_QUERY_PREFIX + name)
                for name in (ingest.QUERY, detect.QUERY)
            }
    except (redis.RedisError, kafka.errors.KafkaError) as error:
        why = type(error).__name__
        raise StorageError(f"Kafka or Redis does not answer ({why}). Look at `kakou status`.") from error
    return [_state(name, fields, ends) for name, fields in told.items()]


def _state(name: str, fields: dict[str, Any], ends: dict[str, int]) -> QueryStatus:
    if not fields:
        return QueryStatus(name, None)
    taken = json.loads(fields["offsets"])
    lag = sum(max(0, end - taken.get(partition, 0)) for partition, end in ends.items())
    handled, arriving = float(fields["handled_per_second"]), float(fields["arriving_per_second"])
    spare = handled - arriving
    return QueryStatus(
        query=name,
        lag=lag,
        handled_per_second=handled,
        arriving_per_second=arriving,
        catch_up_seconds=0.0 if not lag else round(lag / spare, 1) if spare > 0 else None,
        # A new Redis has heard of no batch until one with records ends.
        batch=int(fields["batch"]) if "batch" in fields else None,
        batch_records=int(fields.get("records", 0)),
        batch_seconds=float(fields.get("seconds", 0)),
        at=fields["at"],
    )

"""``kakou stream``: how far the stream is."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from kakou.detection.times import utc_now
from kakou.settings import Settings, load_settings

# A query that runs is heard of after each batch, and every ten seconds where nothing comes.
_SILENT_S: Final = 60
stream = typer.Typer(
    name="stream", no_args_is_help=True, help="实时流 · The stream: its lag, speed and time to catch up."
)


@dataclass(frozen=True, slots=True)
class QueryStatus:
    """One query now.

    Attributes:
        lag: records of the topic that it has not taken yet; None if it has never ended a batch.
        catch_up_seconds: until the lag is gone, if all goes on as now; None if it does not shrink, or if the
            query has been silent for so long that nobody knows.
        at: when it was last heard of.
        silent_seconds: how long that is ago.
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
    silent_seconds: float | None = None

    @property
    def silent(self) -> bool:
        """True if a query that runs would have been heard of since."""
        return self.silent_seconds is not None and self.silent_seconds > _SILENT_S


@stream.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Show lag, speed and time to catch up of each query of the stream.

    Example: kakou stream status
    """
    settings = load_settings()
    rows = query_states(settings)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], ensure_ascii=False))
        return
    # A column for each query: side by side, all figures of one do not fit into 80 characters.
    table = Table("", *(row.query for row in rows))
    shown = [_shown(row) for row in rows]
    for name in dict.fromkeys(name for one in shown for name in one):
        table.add_row(name, *(one.get(name, "") for one in shown))
    Console().print(table)
    for row in rows:
        if row.silent:
            typer.echo(
                f"{row.query} has said nothing for {row.silent_seconds:,.0f} s: it is starting, or does not "
                "run. See `kakou status` and `kakou logs stream`."
            )
    _say_places(settings)
    _say_past(settings)


def _say_places(settings: Settings) -> None:
    from kakou.detection.files import places_not_used
    from kakou.detection.refusals import said
    from kakou.errors import KakouError

    try:
        unused = places_not_used(settings)
    except KakouError as error:
        typer.echo(str(error))
        return
    for line in said(unused):
        typer.echo(f"detection does not use {line}.")
    if unused:
        typer.echo("Mend LON and LAT, or STAKE, in your gate file, see the runbook.")


def _say_past(settings: Settings) -> None:
    from kakou.detection.plate_file import past_not_used
    from kakou.errors import KakouError

    with suppress(KakouError):  # what was learned cannot be read; said with the places
        if why := past_not_used(settings):
            typer.echo(f"detection judges without what the history says of single plates. {why}")


def _shown(row: QueryStatus) -> dict[str, str]:
    if row.lag is None:
        return {"lag": "no batch yet"}
    known = {"lag": f"{row.lag:,}", "last heard of": str(row.at)[:19].replace("T", " ")}
    if row.batch is not None:
        known["last batch"] = f"{row.batch}: {row.batch_records:,} records in {row.batch_seconds:.2f} s"
    if row.silent:
        return known | {"caught up in": "unknown" if row.lag else "0 s"}
    waits = "not while it goes on so" if row.handled_per_second else "not known yet"
    if row.catch_up_seconds is not None:
        waits = f"{row.catch_up_seconds:,.0f} s"
    return known | {
        "handled/s": f"{row.handled_per_second:,.0f}",
        "arriving/s": f"{row.arriving_per_second:,.0f}",
        "caught up in": waits,
    }


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
    silent = max(0.0, (utc_now() - datetime.fromisoformat(fields["at"])).total_seconds())
    catch_up = 0.0 if not lag else round(lag / spare, 1) if spare > 0 else None
    return QueryStatus(
        query=name,
        lag=lag,
        handled_per_second=handled,
        arriving_per_second=arriving,
        # The speeds are those before it fell silent.
        catch_up_seconds=None if lag and silent > _SILENT_S else catch_up,
        # A new Redis has heard of no batch until one with records ends.
        batch=int(fields["batch"]) if "batch" in fields else None,
        batch_records=int(fields.get("records", 0)),
        batch_seconds=float(fields.get("seconds", 0)),
        at=fields["at"],
        silent_seconds=round(silent, 1),
    )

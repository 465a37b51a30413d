"""``kakou rejected``: records that were refused, and what becomes of them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kakou.errors import BadInputError
from kakou.passage import REJECT_REASONS
from kakou.settings import load_settings
from spark_jobs.reading_bars import bars

if TYPE_CHECKING:
    from spark_jobs.rejected.replay import Replay

rejected = typer.Typer(help="Refused records: look, send again, give up.", no_args_is_help=True)
Reason = Annotated[str | None, typer.Option(help="Only records refused for this, such as bad_time.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SHOWN, _FIRST_CHARACTERS, _EXAMPLES = 50, 60, 5
_DROPPED = "{:,} are known by their place only: Kafka has dropped their bytes (KAKOU_RETENTION_HOURS)"


@rejected.command("list")
def list_rejected(
    reason: Reason = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most records; default 50, with --json all.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One object a line with all bytes: the export.")
    ] = False,
) -> None:
    """Print the refused records that nobody has settled: place, reason, when, length, first characters.

    Examples:

      kakou rejected list --reason bad_time

      kakou rejected list --json > refused.jsonl
    """
    from spark_jobs.rejected.lines import to_line
    from spark_jobs.rejected.listing import Listing

    listing = Listing(load_settings(), reason)
    if as_json:
        for one in islice(listing, limit):
            typer.echo(to_line(one.place, one.reason, _moment(one.rejected_at), one.value))
        return
    table = Table("place", "reason", "refused at", "bytes", "begins with", title="refused records")
    for one in islice(listing, limit or _SHOWN):
        partition, offset = one.place
        size = "no value" if one.value is None else f"{len(one.value):,}"
        table.add_row(f"{partition}/{offset}", one.reason, _moment(one.rejected_at), size, _begin(one.value))
    Console().print(table)
    typer.echo(f"{table.row_count} of {listing.total:,} shown")
    if table.row_count < min(listing.total, limit or _SHOWN):
        typer.echo(_DROPPED.format(listing.without_bytes))


@rejected.command()
def replay(
    reason: Reason = None,
    mended: Annotated[
        Path | None, typer.Option(help="Lines of `list --json` with text or base64 mended by a person.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send to the topic of passes again what is understood by now, as it came or as it was mended.

    What is still not understood stays, and so does an id_conflict until it is mended. Run it again after an
    interruption: nothing is sent twice.

    Examples:

      kakou rejected replay --dry-run

      kakou rejected replay --reason bad_time --mended refused.jsonl
    """
    from spark_jobs.rejected.replay import replay as run

    settings = load_settings()
    with bars(quiet=as_json) as tell:
        result = run(settings, reason, _mended(mended), dry_run, tell)
    if as_json:
        typer.echo(json.dumps(_in_json(result, dry_run), ensure_ascii=False))
    else:
        _print(result, dry_run)


@rejected.command()
def discard(
    reason: Reason = None,
    place: Annotated[
        list[str] | None, typer.Option(help="partition/offset of the original; may be repeated.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, remove their bytes for good.")] = False,
) -> None:
    """Give refused records up: they count as settled, and Kafka forgets their bytes.

    Example: kakou rejected discard --reason column_count --yes
    """
    from spark_jobs.rejected.discard import discard as run
    from spark_jobs.rejected.discard import parse_place

    gone = run(load_settings(), reason, [parse_place(one) for one in place or ()], yes)
    typer.echo(f"{gone} records given up")


def _mended(path: Path | None) -> dict[tuple[int, int], bytes | None]:
    from spark_jobs.rejected.lines import parse_mended

    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8") as lines:
            return parse_mended(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read: {error}. Name a file of mended records.") from error


def _in_json(result: Replay, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "replayed": result.replayed,
        "found": result.found,
        "stays": [
            {"partition": partition, "offset": offset, "reason": reason}
            for (partition, offset), reason in result.stays
        ],
        "without_bytes": result.without_bytes,
    }


def _print(result: Replay, dry_run: bool) -> None:
    verb = "would be sent" if dry_run else "sent"
    typer.echo(f"{result.replayed:,} {verb} to the topic of passes again")
    if result.found:
        typer.echo(f"{result.found:,} had been sent by a replay that was interrupted")
    for reason, count in sorted(Counter(reason for _, reason in result.stays).items()):
        places = [f"{partition}/{offset}" for (partition, offset), why in result.stays if why == reason]
        shown = " ".join(places[:_EXAMPLES]) + (" …" if count > _EXAMPLES else "")
        hint = "" if reason in REJECT_REASONS else "; mend them, for example under another id"
        typer.echo(f"{count:,} stay: {reason} ({shown}){hint}")
    if result.without_bytes:
        typer.echo(_DROPPED.format(result.without_bytes))


def _moment(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="milliseconds")


def _begin(value: bytes | None) -> Text:
    """The first characters, with whatever a terminal would act on written out."""
    start = (value or b"")[: 4 * _FIRST_CHARACTERS].decode("utf-8", "backslashreplace")
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in start[:_FIRST_CHARACTERS])
    return Text(shown + ("…" if len(start) > _FIRST_CHARACTERS else ""))

"""``kakou gates``: what is known about gates, which are unknown, and a person's decision about them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from kakou.errors import BadInputError
from kakou.settings import load_settings

if TYPE_CHECKING:
    import polars as pl

    from etl.gate import Gate
    from etl.gate_decisions import Proposal

gates = typer.Typer(help="Gates: known ones, unknown ones, and your decision.", no_args_is_help=True)

Registry = Annotated[
    Path | None, typer.Option(help="Your own gate file; default KAKOU_GATE_REGISTRY or <var>/gates.csv.")
]
Out = Annotated[Path | None, typer.Option(help="Where `kakou etl run` wrote; default <var>/clean.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@gates.command("list")
def list_gates(registry: Registry = None, as_json: AsJson = False) -> None:
    """Print every known gate with its spellings, road, stake mark, boundary and place.

    Example: kakou gates list --json
    """
    from etl.registry import known_gates

    known = known_gates(_file(registry))
    if as_json:
        typer.echo(json.dumps([_words(gate) for gate in known], ensure_ascii=False))
        return
    table = Table("codename", "district", "road", "stake", "boundary", "spellings", title="gates")
    for gate in known:
        table.add_row(gate.kkmc, gate.xzqhmc, gate.road, gate.stake, gate.boundary, "\n".join(gate.aliases))
    Console().print(table)


@gates.command("proposals")
def list_proposals(out: Out = None, registry: Registry = None, as_json: AsJson = False) -> None:
    """Print the spellings of the merged passes that name no known gate, with what speaks for and against.

    Example: kakou gates proposals --out clean
    """
    from etl.gate_decisions import proposals

    found = proposals(out or load_settings().clean_dir, _file(registry))
    if as_json:
        typer.echo(json.dumps([_evidence(one) for one in found], ensure_ascii=False))
        return
    for one in found:
        alike = f"looks like {one.looks_like[0]} ({one.looks_like[1]}), but: " if one.looks_like else ""
        typer.echo(f"{one.gate.name}\n  proposed codename {one.gate.kkmc}")
        typer.echo(f"  {one.passes} passes on {one.days} days, {one.first} to {one.last}; {_places(one)}")
        typer.echo(f"  {alike}{one.why_en}")
        typer.echo(f"  {one.why_zh}")
        typer.echo(f"  writings: {' | '.join(one.gate.aliases)}" if len(one.gate.aliases) > 1 else "")
    typer.echo(f"{len(found)} unknown gates; decide with `kakou gates accept SPELLING [--as CODENAME]`")


@gates.command()
def accept(
    spelling: Annotated[str, typer.Argument(help="As the passes write it, in quotes.")],
    codename: Annotated[
        str | None, typer.Option("--as", help="It is one more spelling of this gate.")
    ] = None,
    new_codename: Annotated[
        str | None, typer.Option("--codename", help="Codename of the new gate, if not the proposed one.")
    ] = None,
    district: Annotated[str | None, typer.Option(help="District of the new gate.")] = None,
    lon: Annotated[float | None, typer.Option(help="Longitude of the new gate, degrees.")] = None,
    lat: Annotated[float | None, typer.Option(help="Latitude of the new gate, degrees.")] = None,
    out: Out = None,
    registry: Registry = None,
) -> None:
    """Make a spelling an alias of a known gate, or its proposal a gate; the next run uses it.

    Example: kakou gates accept "S325淮宿线K63东侧卡口" --as S325_Suining_K63
    """
    from etl.gate_decisions import accept_alias, accept_gate

    file = _file(registry)
    if codename and any(one is not None for one in (new_codename, district, lon, lat)):
        raise BadInputError(
            "--as names a known gate; --codename, --district, --lon and --lat are for a new one."
        )
    if (lon is None) != (lat is None):
        raise BadInputError("Give both --lon and --lat, or neither.")
    if codename:
        gate = accept_alias(file, spelling, codename)
    else:
        proposed = _proposed(spelling, out or load_settings().clean_dir, file)
        code, place = new_codename or proposed.kkmc, district or proposed.xzqhmc
        gate = accept_gate(file, replace(proposed, kkmc=code, xzqhmc=place, lon=lon, lat=lat))
    typer.echo(f"{spelling} is {gate.kkmc} now, by {file}; `kakou etl run` uses it")


@gates.command()
def check(
    file: Annotated[
        Path | None,
        typer.Option(
            "--gates",
            help="CSV with KKMC,NAME,LON,LAT, and XZQHMC,ROAD,STAKE if known; default the known gates.",
        ),
    ] = None,
    registry: Registry = None,
    as_json: AsJson = False,
) -> None:
    """Say which places detection does not use, as the registry contradicts itself; no pass is asked.

    A place outside the country, or far from all other gates of its district; a gate, or two gates, whose
    stakes are closer along their road than in a straight line. Mend LON, LAT or STAKE in your gate file.
    Places that passes contradict are named by `kakou stream status`. Exit code 1 if there are any.

    Examples:

      kakou gates check

      kakou gates check --gates clean/kkmc_dimension.csv --json
    """
    from kakou.detection.files import read_gates
    from kakou.detection.registry import refused_by_registry

    if file and registry:
        raise BadInputError("Give --gates or --registry, not both.")
    known = read_gates(file) if file else _as_frame(_file(registry))
    known = known.unique("kkmc", keep="first", maintain_order=True)
    refused = refused_by_registry(known)
    placed = len(known.drop_nulls(["lon", "lat"]))
    if as_json:
        found = {"gates": len(known), "placed": placed, "refused": [one.as_dict() for one in refused]}
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        for one in refused:
            typer.echo(f"{one.en}\n  {one.zh}")
        many = f"{len(refused)} not used, see above" if refused else "none of which contradicts another"
        typer.echo(f"{len(known)} gates, {placed} places; {many}")
    if refused:
        raise typer.Exit(1)


def _as_frame(registry: Path) -> pl.DataFrame:
    import polars as pl

    from etl.registry import known_gates

    words = ("kkmc", "name", "xzqhmc", "road", "stake")
    schema = dict.fromkeys(words, pl.String) | {"lon": pl.Float64, "lat": pl.Float64}
    rows = [[getattr(gate, name) for name in schema] for gate in known_gates(registry)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _proposed(spelling: str, out: Path, file: Path) -> Gate:
    from etl.gate_decisions import proposals

    for one in proposals(out, file):
        if spelling in one.gate.aliases:
            return one.gate
    raise BadInputError(f"'{spelling}' is no unknown gate of {out}; see `kakou gates proposals --out {out}`.")


def _file(registry: Path | None) -> Path:
    return registry or load_settings().gate_registry_file


def _places(one: Proposal) -> str:
    return "district " + ", ".join(one.districts) if one.districts else "no district given"


def _words(gate: Gate) -> dict[str, Any]:
    return {
        "KKMC": gate.kkmc, "NAME": gate.name, "ALIASES": list(gate.aliases), "XZQHMC": gate.xzqhmc,
        "ROAD": gate.road, "STAKE": gate.stake, "BOUNDARY": gate.boundary, "LON": gate.lon, "LAT": gate.lat,
    }  # fmt: skip


def _evidence(one: Proposal) -> dict[str, Any]:
    codename, spelling = one.looks_like or (None, None)
    return _words(one.gate) | {
        "passes": one.passes, "days": one.days, "first_day": str(one.first), "last_day": str(one.last),
        "districts": list(one.districts), "looks_like": codename, "looks_like_spelling": spelling,
        "why_not": {"zh": one.why_zh, "en": one.why_en},
    }  # fmt: skip

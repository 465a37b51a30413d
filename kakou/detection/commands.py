"""``kakou detect``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from kakou.detection import rule_commands
from kakou.detection.evidence.commands import evidence as evidence_of_case
from kakou.settings import load_settings

detect = typer.Typer(help="Find cloned plates.", no_args_is_help=True)
detect.command(name="evidence")(evidence_of_case)
rule_commands.add_to(detect)


@detect.callback()
def _group() -> None:
    """Find cloned plates."""


@detect.command()
def replay(
    passes: Annotated[Path, typer.Option(help="CSV of the 8 fields, in order of arrival, or Parquet.")],
    gates: Annotated[Path, typer.Option(help="CSV with KKMC,NAME,XZQHMC,LON,LAT; ROAD,STAKE too if known.")],
    out: Annotated[Path, typer.Option(help="Alerts, one JSON object per line.")],
    history: Annotated[
        Path | None,
        typer.Option(
            help="The same, to learn honest traffic from; may hold clones. Without it the passes teach."
        ),
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(help="Folder for one page of evidence (HTML) of each cloned plate."),
    ] = None,
) -> None:
    """Find cloned plates in a file: one verdict for each plate that one vehicle cannot have driven.

    The last line of stdout is {"passes": n, "withheld": n, "late": n, "duplicates": n}; a pass that is
    stamped too far in the future is counted as late. Rows whose column ORIGIN says that no gate saw them
    (Parquet artefacts of the batch have it) are left out.

    Examples:

      kakou detect replay --passes day.csv --gates kkmc_dimension.csv --out alerts.jsonl

      kakou detect replay --passes day.csv --gates gates.csv --history month.csv --out alerts.jsonl \
        --evidence evidence/
    """
    # Imported here so that `kakou --help` does not wait for polars.
    from kakou.detection import files
    from kakou.detection.evidence.files import write_evidence
    from kakou.detection.horizon import Past
    from kakou.detection.knowledge import knows_nothing, learn_knowledge
    from kakou.detection.learned_rules import rules_of
    from kakou.detection.past import PastOfPasses
    from kakou.detection.refusals import said
    from kakou.detection.replay import replay as run
    from kakou.detection.rule_files import rule_in_force

    settings = load_settings()
    files.demand_writable(out, evidence)
    known = files.read_gates(gates)
    read = files.read_passes(passes, settings.origins)
    names = known["kkmc"].unique(maintain_order=True).to_list()
    before = files.read_passes(history, settings.origins).passes if history else read.passes.clear()
    # Without a history the day teaches what it can: medians are not moved by the few that are cloned.
    teacher = before if history else read.passes
    knowledge = learn_knowledge(teacher, names) if len(teacher) else knows_nothing(names)
    past = PastOfPasses(before) if history else Past()
    rules, refused = rules_of(known, knowledge, rule_in_force(settings))

    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("passes", total=len(read.passes))
        done = run(
            read.passes, rules, knowledge, past, settings.timezone,
            on_progress=lambda n: progress.update(task, advance=n),
        )  # fmt: skip
    total = done.counts
    alerts = sorted(done.alerts, key=lambda one: (one.detected_at, one.alert_id))
    files.write_alerts(out, alerts)
    if evidence:
        called = [(one, done.tracks[one.alert_id]) for one in alerts if one.verdict == "cloned_plate"]
        write_evidence(evidence, called, known)
        console.print(f"{evidence}: {len(called)} pages of evidence, one for each cloned plate")
    verdicts = Counter(one.verdict for one in alerts)
    console.print(
        f"{out}: " + (", ".join(f"{n} {name}" for name, n in sorted(verdicts.items())) or "no alert")
    )
    for line in said(refused):
        console.print(f"Not used: {line}.", markup=False, highlight=False, soft_wrap=True)
    if read.unreadable:
        console.print(f"{read.unreadable} rows were left out: their GCSJ is not YYYY-MM-DD HH:MM:SS.")
    if read.made_up:
        console.print(f"{read.made_up} rows were left out: no gate saw them (KAKOU_ORIGINS=all takes them).")
    typer.echo(
        json.dumps(
            {
                "passes": len(read.passes) + read.unreadable,
                "withheld": total.withheld,
                "late": total.late + total.future,
                "duplicates": total.duplicates,
            }
        )
    )

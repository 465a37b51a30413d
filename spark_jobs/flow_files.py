"""Edge: the flow model over files of counts, for ``kakou flow backtest`` and ``kakou flow forecast``.

The same model, baseline and figures as in the nightly training; only counts come from a CSV and results go
to a file.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from kakou.errors import BadInputError
from kakou.fields import TIME_FORMAT
from kakou.settings import Settings
from kakou.whole_files import write_text
from spark_jobs.flow_counts import demand_history, read_counts, with_calendar
from spark_jobs.flow_evaluation import Evaluation, baseline_intervals, evaluate
from spark_jobs.flow_model import COVERAGE, baseline, fit, predict, widen, with_intervals
from spark_jobs.session import build_session
from spark_jobs.train_flow import Progress


def backtest(
    settings: Settings, counts: Path, out: Path, progress: Progress = lambda _: None
) -> dict[str, Any]:
    """Measures model and baseline on the last days of a file of counts and writes the report as JSON.

    Raises:
        BadInputError: the counts cannot be read.
        TooLittleDataError: they are too few.
    """
    known = _load(counts)
    evaluation = evaluate(build_session(settings, "flow_backtest"), known, progress)
    report = {
        "rows": len(known),
        "gates": int(known["kkmc"].nunique()),
        "days": {
            name: [str(days[0]), str(days[-1]), len(days)]
            for name, days in (
                ("train", evaluation.split.train),
                ("calibration", evaluation.split.calibration),
                ("test", evaluation.split.test),
            )
        },
        "penalty": evaluation.penalty,
        "target_coverage": COVERAGE,
        "model": _figures(evaluation, ""),
        "baseline": _figures(evaluation, "baseline_"),
        "beats_baseline": evaluation.beats_baseline,
    }
    write_text(out, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    return report


def forecast(
    settings: Settings, counts: Path, horizon: int, out: Path, progress: Progress = lambda _: None
) -> tuple[int, str]:
    """Forecasts each gate for the ``horizon`` hours after the last hour of a file of counts.

    Returns:
        rows written to ``out`` (``kkmc,hour,low,mid,high``) and what made them: ``model`` or ``baseline``,
        whichever was better on the held-back days.

    Raises:
        BadInputError: the counts cannot be read, or ``horizon`` is below 1.
        TooLittleDataError: they are too few.
    """
    if horizon < 1:
        raise BadInputError(f"--horizon must be at least 1 hour, not {horizon}.")
    known = _load(counts)
    spark = build_session(settings, "flow_forecast")
    evaluation = evaluate(spark, known, progress)
    hours = _hours_after(known, horizon)
    gates = pd.DataFrame({"kkmc": sorted(known["kkmc"].unique())})
    wanted = with_calendar(gates.merge(hours, how="cross"))
    if evaluation.beats_baseline:
        progress("fitting on all days")
        model = with_intervals(fit(spark, known, evaluation.penalty), evaluation.intervals)
        found, made_by = predict(spark, model, wanted), "model"
    else:
        middle = baseline(known, wanted)
        low, high = widen(middle, baseline_intervals(known, evaluation.split))
        found, made_by = wanted.assign(predicted=middle, low=low, high=high), "baseline"
    table = pd.DataFrame(
        {
            "kkmc": found["kkmc"],
            "hour": wanted["at"].dt.strftime(TIME_FORMAT),
            "low": found["low"].round(3),
            "mid": found["predicted"].round(3),
            "high": found["high"].round(3),
        }
    )
    write_text(out, table.to_csv(index=False, lineterminator="\n"))
    return len(table), made_by


def _load(counts: Path) -> pd.DataFrame:
    known = read_counts(counts)
    demand_history(known)
    return with_calendar(known)


def _hours_after(known: pd.DataFrame, horizon: int) -> pd.DataFrame:
    day = max(known["day"])
    last = datetime(day.year, day.month, day.day, int(known.loc[known["day"] == day, "hour"].max()))
    at = pd.Series([last + timedelta(hours=ahead) for ahead in range(1, horizon + 1)])
    return pd.DataFrame({"at": at, "day": at.dt.date, "hour": at.dt.hour.astype("int64")})


def _figures(evaluation: Evaluation, prefix: str) -> dict[str, float]:
    names = ("mae", "rmse", "wmape", "pinball", "coverage", "width")
    return {name: round(evaluation.metrics[prefix + name], 4) for name in names}

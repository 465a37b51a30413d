"""``report.html``: the report for a person, in Chinese and English, on one page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, StrictUndefined, Template

from etl.steps.profile import ranges

# What each reason says to someone who has never seen the export: Chinese, English.
REASONS: Final = {
    "bad_time": ("过车时间无法识别", "the pass time cannot be read"),
    "empty_id": ("过车序号为空", "the pass id is empty"),
    "id_damaged": ("过车序号被表格软件改写，末位丢失", "a spreadsheet rounded the pass id"),
    "empty_gate": ("卡口名称为空", "the gate name is empty"),
    "ambiguous_time": ("日与月无法区分", "day and month cannot be told apart"),
    "header_repeated": ("表头重复出现", "the header stands there once more"),
    "sheet_unknown_header": ("工作表的表头无法识别", "a sheet whose header cannot be understood"),
    "too_long": ("字段超长", "a field is longer than the table holds"),
    "control_character": ("含控制字符", "a field holds control characters"),
    "encoding": ("编码无法识别", "some bytes are of no known encoding"),
    "column_count": ("列数不符", "the row has more or fewer columns than the header"),
    "id_conflict": ("过车序号与另一过车相同", "another pass has the same id"),
    "bad_quotes": ("引号不配对", "the quotes of the row do not match"),
}
FILE_REASON: Final = ("整个文件无法读取", "the whole file could not be read")
PLATE_CLASSES: Final = {
    "ordinary": ("普通号牌", "ordinary"),
    "new_energy_small": ("小型新能源", "new energy, small"),
    "new_energy_large": ("大型新能源", "new energy, large"),
    "trailer": ("挂车", "trailer"),
    "coach": ("教练车", "driving school"),
    "police": ("警车", "police"),
    "hong_kong_macau": ("港澳入出境", "Hong Kong and Macau"),
    "consulate": ("领馆", "consulate"),
    "embassy": ("使馆", "embassy"),
    "emergency": ("应急", "emergency"),
    "test": ("试验", "test"),
    "oversize": ("超限", "oversize"),
    "temporary": ("临时", "temporary"),
    "armed_police": ("武警", "armed police"),
    "military": ("军车", "military"),
    "farm": ("农用", "farm"),
    "masked": ("部分遮盖", "masked"),
    "truncated": ("残缺", "truncated"),
    "impossible": ("不可能的号牌", "impossible"),
    "none": ("无牌", "no plate"),
}
FIELDS: Final = {"HPZL": ("号牌种类", "plate type"), "CLPPXH": ("车辆品牌", "brand")}
CURVE_WORDS: Final = {
    "confidence": "最低置信度 least confidence",
    "accuracy": "准确率 accuracy",
    "coverage": "覆盖率 coverage",
}
ORIGIN_WORDS: Final = {
    "observed": ("实际观测", "as it was read"),
    "copied": ("由他日复制", "copied from another day"),
    "replicated": ("按要求补造", "replicated on request"),
}


def report_html(report: Mapping[str, Any], svg: str, proposals: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page; the same report gives the same bytes.

    Args:
        report: what ``report.json`` holds.
        svg: text of ``kkmc_statistics.svg``.
        proposals: what ``gate_proposals.json`` holds.
    """
    days = [str(one["day"]) for one in report["days"]]
    return _template().render(
        report=report,
        svg=svg,
        proposals=proposals,
        span=(days[0], days[-1]) if days else None,
        copies=[one for one in report["files"] if one["copy_of"]],
        refused=[one for one in report["files"] if one.get("problem") or one.get("rejected")],
        partial=[one for one in report["days"] if one["partial"]],
        copied=[one for one in report["days"] if one["copied_from"]],
        rejected_rows=sum(n for name, n in report["rejected"].items() if not name.startswith("file_")),
        plates=_shares(report["plate_classes"]),
        curves=_curves(report["imputed"]),
        attention=_attention(report),
    )


def _curves(imputed: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Mapping[str, float | None]]]:
    """Accuracy and coverage by least confidence; of neighbours that change nothing only the highest."""
    curves = {}
    for name, one in imputed.items():
        kept: list[Mapping[str, float | None]] = []
        for point in one.get("curve") or ():
            if kept and {**point, "confidence": 0} == {**kept[-1], "confidence": 0}:
                kept.pop()
            kept.append(point)
        if kept:
            curves[name] = kept
    return curves


def _attention(report: Mapping[str, Any]) -> list[tuple[int, str, str, str]]:
    """What asks for a person: (how many, Chinese, English, anchor); only what is there."""
    rows = sum(n for name, n in report["rejected"].items() if not name.startswith("file_"))
    files = sum(1 for one in report["files"] if one.get("problem"))
    found = [
        (files, "个文件无法读取", "files could not be read", "rejected"),
        (rows, "行被拒绝", "rows rejected", "rejected"),
        (len(report["restamped"]), "个文件日由他日复制", "file days repeat an earlier day", "copies"),
        (len(report["missing_days"]), "个缺失日", "missing days", "days"),
        (sum(one["partial"] for one in report["days"]), "个残缺日", "partial days", "days"),
        (len(report["silent_gates"]), "段卡口静默", "silences of gates", "gates"),
        (report["proposed_gates"], "个新卡口待确认", "new gates to confirm", "gates"),
    ]
    return [one for one in found if one[0]]


def _shares(counts: Mapping[str, int]) -> list[tuple[str, str, int, float]]:
    total = sum(counts.values()) or 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(*PLATE_CLASSES.get(name, (name, name)), n, n / total) for name, n in ordered]


def _reason(name: str) -> tuple[str, str]:
    if name.startswith("file_"):
        words = name.removeprefix("file_").replace("_", " ")
        return FILE_REASON[0], f"{FILE_REASON[1]} ({words})"
    return REASONS.get(name, (name, name.replace("_", " ")))


def _percent(share: float | None, digits: int = 1) -> str:
    """A share for reading: never rounded to all or to nothing.

    >>> _percent(0.9999), _percent(1.0), _percent(0.00001), _percent(None)
    ('> 99.9 %', '100 %', '< 0.1 %', '–')
    """
    if share is None:
        return "–"
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    least = 10.0 ** -(digits + 2)
    if share < least:
        return f"< {least:.{digits}%}".replace("%", " %")
    return (
        f"> {1 - least:.{digits}%}".replace("%", " %") if share > 1 - least else f"{share * 100:.{digits}f} %"
    )


def hours(numbers: Sequence[int]) -> str:
    """Hours of a day as stretches.

    >>> hours([0, 1, 2, 9, 22, 23])
    '00:00-03:00, 09:00-10:00, 22:00-24:00'
    """
    stretches: list[list[int]] = []
    for hour in numbers:
        if stretches and stretches[-1][1] == hour:
            stretches[-1][1] = hour + 1
        else:
            stretches.append([hour, hour + 1])
    return ", ".join(f"{first:02d}:00-{last:02d}:00" for first, last in stretches)


def _ranges(days: Sequence[str]) -> str:
    return ranges(date.fromisoformat(day) for day in days)


@cache
def _template() -> Template:
    env = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters.update(
        percent=_percent, hours=hours, reason=_reason, number=lambda n: f"{n:,}", ranges=_ranges
    )
    env.globals.update(field_words=FIELDS, origin_words=ORIGIN_WORDS, curve_words=CURVE_WORDS)
    return env.from_string(resources.files("etl").joinpath("data/report.html").read_text(encoding="utf-8"))

"""A rehearsal for a person, in Chinese and English, on one page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined, Template

SHIFT_WORDS: Final = {
    "morning": ("早班 06–14", "morning"),
    "afternoon": ("中班 14–22", "afternoon"),
    "night": ("夜班 22–06", "night"),
}
_VERDICTS: Final = {
    "cloned_plate": ("套牌嫌疑", "cloned plate"),
    "misread": ("误识别", "misread"),
    "clock_fault": ("时钟故障", "clock fault"),
    "undecided": ("无法判定", "undecided"),
}
_SEVERITIES: Final = {"low": "低", "medium": "中", "high": "高", "critical": "严重"}
_KEYS: Final = {
    "version": "版本",
    "prior": "先验概率",
    "trust": "证据折扣",
    "call_at": "判定阈值",
    "window_minutes": "比较窗口（分钟）",
    "lateness_minutes": "允许迟到（分钟）",
    "future_minutes": "允许超前（分钟）",
    "fallback_kmh": "无历史时的车速（公里/小时）",
}
_ORDERS: Final = {
    "offsets": ("Kafka 分区与偏移量", "Kafka's partitions and offsets"),
    "time": ("过车时间", "the time of the passes"),
    "file": ("文件中的顺序", "as the file has them"),
}
_SOURCES: Final = {"archive": ("归档", "archive"), "batch": ("批处理", "batch"), "file": ("文件", "file")}
# What became of a call, by what a person found out about it.
_FATES: Final = {
    ("confirmed", "kept"): ("属实，仍报", "confirmed, kept"),
    ("confirmed", "removed"): ("属实，不再报", "confirmed, lost"),
    ("confirmed", "added"): ("属实，新增", "confirmed, won"),
    ("confirmed", "neither"): ("属实，两者均不报", "confirmed, called by neither"),
    ("false", "kept"): ("误报，仍报", "false, kept"),
    ("false", "removed"): ("误报，不再报", "false, removed"),
    ("false", "added"): ("误报，新增", "false, added"),
    ("false", "neither"): ("误报，两者均不报", "false, called by neither"),
}


def rehearsal_page(report: Mapping[str, Any], most: int) -> str:
    """The page; the same report gives the same bytes.

    Args:
        report: what ``rehearsal.json`` holds.
        most: rows of each list; those beyond are in the report only.
    """
    load = report["load"]
    return _template().render(
        report=report,
        most=most,
        shifts=SHIFT_WORDS,
        verdicts=_VERDICTS,
        severities=_SEVERITIES,
        keys=_KEYS,
        order=_ORDERS[report["order"]],
        sources=_SOURCES,
        fates=_FATES,
        most_load=max((max(one["old"], one["new"]) for one in load), default=0) or 1,
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f} %"


def _sure(confidence: float) -> str:
    """A confidence for reading: nothing is certain, however it is rounded.

    >>> _sure(1.0), _sure(0.5)
    ('> 99.9 %', '50.0 %')
    """
    return "> 99.9 %" if confidence > 0.999 else _percent(confidence)


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=_percent, sure=_sure, number=lambda n: f"{n:,}", link=quote)
    text = resources.files("kakou.detection.rehearsal").joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(text)

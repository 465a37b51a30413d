"""The evidence of a case as one page of HTML that needs nothing else: it can be printed, filed and sent.

Chinese and English side by side: what is claimed and how surely, the two passes that contradict each other,
both tracks on the schematic of the gates and over time, every pass with its stamped and its right time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Final

import numpy as np

from kakou.alert import CLONED, Alert
from kakou.detection.evidence.tracks import Seen, Tracks, Way
from kakou.detection.times import text_of
from kakou.fields import VEHICLE_TYPE_NAMES

Place = tuple[float, float]
_VERDICTS: Final = {
    "cloned_plate": "套牌嫌疑 · Cloned plate", "misread": "误识别 · Misread",
    "clock_fault": "时钟故障 · Clock fault", "undecided": "无法判定 · Undecided",
}  # fmt: skip
_OWN, _OTHER = "#1b5e9e", "#c62828"
_WIDTH, _HEIGHT, _EDGE, _LABELS = 760, 320, 24, 150
_APART: Final = 4.0
_LABEL_W, _LABEL_H = 44.0, 12.0
_STYLE: Final = """
body{font:15px/1.5 "Noto Sans CJK SC","Microsoft YaHei",system-ui,sans-serif;color:#1a1a1a;max-width:800px;
margin:24px auto;padding:0 16px}h1{font-size:24px;margin:0}h2{font-size:17px;margin:24px 0 6px}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:4px 8px;text-align:left}
svg{width:100%;height:auto;border:1px solid #ddd}.own{color:#1b5e9e}.other{color:#c62828}.note{color:#555}
li{margin:4px 0}@media print{body{margin:0}h2{break-after:avoid}tr,svg{break-inside:avoid}}
"""


def page_of(alert: Alert, tracks: Tracks, places: Mapping[str, Place], steps: Sequence[Alert] = ()) -> str:
    """The page.

    Args:
        places: longitude and latitude of gates; one that is missing is left out of the schematic.
        steps: all alerts of the case so far, oldest first; shown if they are several.
    """
    return "\n".join(
        [
            '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"/>',
            f"<title>{escape(alert.hphm)} · 取证单 Evidence</title><style>{_STYLE}</style></head><body>",
            *_head(alert),
            *_steps(alert, steps),
            *_pair(alert, tracks.way),
            *_reasons(alert),
            "<h2>行车轨迹 · Tracks</h2>",
            *_legend(tracks),
            _schematic(tracks, places),
            _over_time(alert, tracks, places),
            *_passes(tracks),
            "<p class='note'>号牌识别、坐标与时钟均可能有误，本页供人工核查，不是结论。 · "
            "Plates, places and clocks may be wrong; this page is for a person to check and decides nothing."
            "</p></body></html>",
        ]
    )


def _head(alert: Alert) -> list[str]:
    return [
        f"<h1>{escape(alert.hphm)} · {_VERDICTS[alert.verdict]}</h1>",
        f"<p>可信度 Confidence <b>{_sure(alert)}</b> · 案件 Case <code>{escape(alert.case_id)}</code><br/>"
        f"预警 Alert <code>{escape(alert.alert_id)}</code> · 规则 Rule {escape(alert.rule_version)} · "
        f"{escape(alert.detected_at)}</p>",
    ]


def _sure(alert: Alert) -> str:
    # Nothing is certain, however it is rounded.
    return "&gt; 99.9%" if alert.confidence > 0.999 else f"{alert.confidence:.1%}"


def _steps(alert: Alert, steps: Sequence[Alert]) -> list[str]:
    """How the case came to where it is, the step of this page marked."""
    if len(steps) < 2:
        return []
    rows = []
    for before, one in zip((None, *steps), steps, strict=False):
        mark = " <b>◀ 本页 this page</b>" if one.alert_id == alert.alert_id else ""
        rows.append(
            f"<tr><td>{one.step}</td><td>{escape(_moment(one.detected_at))}</td>"
            f"<td>{_said(before, one)}{mark}</td><td>{_VERDICTS[one.verdict]}</td><td>{_sure(one)}</td></tr>"
        )
    return [
        "<h2>案件经过 · The case so far</h2><table><tr><th>步骤 Step</th><th>时间 Time</th>"
        "<th>变化 Change</th><th>判定 Verdict</th><th>可信度 Confidence</th></tr>",
        *rows,
        "</table>",
    ]


def _said(before: Alert | None, one: Alert) -> str:
    if one.status == "withdrawn":
        return "已撤销 withdrawn"
    if before is None or before.verdict != one.verdict:
        return "提出 raised" if before is None or one.verdict == CLONED else "改判 judged otherwise"
    return "更可信 surer" if one.confidence >= before.confidence else "较不可信 less sure"


def _moment(stamp: str) -> str:
    """A time stamp of the contract for people.

    >>> _moment("2024-01-15T08:03:41.120+08:00")
    '2024-01-15 08:03:41'
    """
    return stamp[:19].replace("T", " ")


def _pair(alert: Alert, way: Way | None) -> list[str]:
    rows = [
        f"<tr><td>{escape(one.kkmc_name)}<br/><code>{escape(one.kkmc)}</code></td><td>{escape(one.gcsj)}</td>"
        f"<td>{escape(one.clppxh)}</td><td><code>{escape(one.gcxh)}</code></td></tr>"
        for one in (alert.first, alert.second)
    ]
    least = "?" if alert.min_travel_seconds is None else f"{alert.min_travel_seconds:,} s"
    line = "" if alert.distance_km is None else f" · 直线距离 straight line {alert.distance_km:g} km"
    return [
        "<h2>矛盾的两次通行 · Two passes that contradict each other</h2><table><tr><th>卡口 Gate</th>"
        "<th>时间 Time</th><th>品牌 Brand</th><th>编号 Id</th></tr>",
        *rows,
        f"</table><p>相隔 apart, as stamped <b>{alert.gap_seconds:,} s</b> · "
        f"最短行车时间 shortest travel time <b>{least}</b>{line}</p>",
        *([f"<p>最短行车时间的依据 Basis of that time: {_basis(way)}</p>"] if way else []),
    ]


def _basis(way: Way) -> str:
    """How the shortest travel time is known, in words."""
    if way.basis == "map":
        return (
            f"两卡口间历史行程不足，按直线距离、时速 {way.kmh:g} 公里计 · "
            f"the past holds too few trips, so the straight line at {way.kmh:g} km/h"
        )
    if way.basis == "composed":
        return (
            f"两卡口间直接历史行程仅 {way.trips} 次，由途经卡口的历史行程推算 · "
            f"the past holds {way.trips} direct trips, so it is put together from trips over gates between"
        )
    if way.trips is None:
        return "两卡口间的历史行程 · trips of the past between these two gates"
    return (
        f"由两卡口间 {way.trips:,} 次历史行程学得 · "
        f"learned from {way.trips:,} trips of the past between these two gates"
    )


def _reasons(alert: Alert) -> list[str]:
    items = (
        f"<li>{escape(one.zh)}<br/><span class='note'>{escape(one.en)}"
        + (f" (log-odds {one.weight:+.1f})" if one.weight else "")
        + "</span></li>"
        for one in alert.evidence
    )
    return ["<h2>依据 · Evidence</h2><ul>", *items, "</ul>"]


def _legend(tracks: Tracks) -> list[str]:
    if not tracks.other:
        return ["<p class='own'>● 全部通行 all passes</p>"]
    return [
        f"<p><span class='own'>● 车辆甲 vehicle A ({len(tracks.own)})</span> &#160; "
        f"<span class='other'>■ 车辆乙 vehicle B ({len(tracks.other)})</span></p>"
    ]


def _schematic(tracks: Tracks, places: Mapping[str, Place]) -> str:
    """Gates by place, both tracks over them."""
    if not any(one.kkmc in places for one in (*tracks.own, *tracks.other)):
        return "<p class='note'>卡口坐标未知 · The gates have no place on a map.</p>"
    at = _fitted(places)
    parts = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#bbb"/>' for x, y in at.values()]
    parts += _drawn(tracks, lambda one: at.get(one.kkmc), apart=_APART)
    labelled: list[Place] = []
    for gate in sorted({one.kkmc for one in (*tracks.own, *tracks.other)} & at.keys()):
        x, y = at[gate]
        if any(abs(x - a) < _LABEL_W and abs(y - b) < _LABEL_H for a, b in labelled):
            continue  # it would hide another; the drawing over time names all of them
        labelled.append((x, y))
        anchor = "end" if x > _WIDTH / 2 else "start"
        shift = -8 if anchor == "end" else 8
        parts.append(_text(x + shift, y - _APART - 6, gate, anchor))
    return _svg("卡口示意图 Schematic of the gates", parts)


def _fitted(places: Mapping[str, Place]) -> dict[str, Place]:
    """Degrees to the drawing, north up, both ways on one scale."""
    lon, lat = (np.array(column) for column in zip(*places.values(), strict=True))
    x, y = lon * np.cos(np.radians(lat.mean())), -lat
    wide, high = max(np.ptp(x), 1e-6), max(np.ptp(y), 1e-6)
    scale = min((_WIDTH - 2 * _EDGE) / wide, (_HEIGHT - 2 * _EDGE) / high)
    left, top = (_WIDTH - wide * scale) / 2, (_HEIGHT - high * scale) / 2
    drawn = zip((x - x.min()) * scale + left, (y - y.min()) * scale + top, strict=True)
    return {gate: (float(a), float(b)) for gate, (a, b) in zip(places, drawn, strict=True)}


def _over_time(alert: Alert, tracks: Tracks, places: Mapping[str, Place]) -> str:
    """Time to the right, gates one above the other: no vehicle goes up and down at once."""
    both = (*tracks.own, *tracks.other)
    if not both:
        return ""
    height = _heights(both, places)
    first, last = min(one.right for one in both), max(one.right for one in both)
    wide = (_WIDTH - _LABELS - _EDGE) / max(1, last - first)

    def point(one: Seen) -> Place:
        return _LABELS + (one.right - first) * wide, height[one.kkmc]

    parts = []
    for gate, y in height.items():
        parts.append(f'<path d="M{_LABELS} {y:.1f}H{_WIDTH - _EDGE}" stroke="#e0e0e0"/>')
        parts.append(_text(_LABELS - 8, y + 4, gate, "end"))
    parts += _drawn(tracks, point)
    ends = [point(one) for one in both if one.gcxh in (alert.first.gcxh, alert.second.gcxh)]
    parts.append(_line(ends, "#000", dashed=True))
    for moment, anchor in ((first, "start"), (last, "end")):
        x = _LABELS + (moment - first) * wide
        parts.append(_text(x, _HEIGHT - 6, text_of(moment), anchor))
    return _svg("各卡口通行时间 Passes over time", parts)


def _heights(seen: Sequence[Seen], places: Mapping[str, Place]) -> dict[str, float]:
    """Gates from top to bottom in the direction in which they lie furthest apart; one without a place between
    those that were passed before and after it."""
    passed = [one.kkmc for one in seen]
    gates = sorted(set(passed))
    placed = [gate for gate in gates if gate in places]
    along = dict.fromkeys(gates, 0.0)
    if len(placed) > 1:
        xy = np.array([places[gate] for gate in placed])
        _, _, axes = np.linalg.svd(xy - xy.mean(axis=0), full_matrices=False)
        along |= dict(zip(placed, ((xy - xy.mean(axis=0)) @ axes[0]).tolist(), strict=True))
    for gate in set(gates) - set(placed):
        beside = [
            along[other]
            for one, then in pairwise(passed)
            for other, here in ((one, then), (then, one))
            if here == gate and other in places
        ]
        along[gate] = float(np.median(beside)) if beside else 0.0
    order = sorted(gates, key=lambda gate: (along[gate], gate))
    step = (_HEIGHT - 3 * _EDGE) / max(1, len(order) - 1)
    return {gate: _EDGE + at * step for at, gate in enumerate(order)}


def _drawn(tracks: Tracks, place: Callable[[Seen], Place | None], apart: float = 0.0) -> list[str]:
    """Both tracks. Circles for the one vehicle, squares for the other: colour alone would not do.

    Args:
        apart: by how much each is moved, so that neither hides the other where both go the same way.
    """
    own, other = (
        [(at[0], at[1] + shift) for one in seen if (at := place(one))]
        for seen, shift in ((tracks.own, -apart), (tracks.other, apart))
    )
    circles = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{_OWN}"/>' for x, y in own]
    squares = [
        f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{_OTHER}"/>' for x, y in other
    ]
    return [_line(own, _OWN), *circles, _line(other, _OTHER), *squares]


def _line(points: Sequence[Place], colour: str, dashed: bool = False) -> str:
    if len(points) < 2:
        return ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(title: str, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"><title>{title}</title>' + "".join(parts) + "</svg>"
    )


def _passes(tracks: Tracks) -> list[str]:
    who = {one.gcxh: "乙 B" for one in tracks.other} | {one.gcxh: "甲 A" for one in tracks.own}
    rows = []
    for one in sorted((*tracks.own, *tracks.other), key=lambda seen: (seen.right, seen.gcxh)):
        right = text_of(one.right)[11:] if one.right != one.stamped else ""
        kind = VEHICLE_TYPE_NAMES.get(one.hpzl, one.hpzl)
        rows.append(
            f"<tr><td>{who[one.gcxh]}</td><td>{escape(one.kkmc_name)}</td><td>{text_of(one.stamped)}</td>"
            f"<td>{right}</td><td>{escape(one.clppxh)}</td><td>{escape(kind)}</td></tr>"
        )
    left = tracks.left_out
    missing = f"另有 {left} 次通行未列出 · {left} more passes are not shown" if left else ""
    return [
        "<h2>全部通行 · All passes</h2><table><tr><th>车辆 Vehicle</th><th>卡口 Gate</th><th>时间 Time</th>"
        "<th>校正后 Set right</th><th>品牌 Brand</th><th>号牌种类 Type</th></tr>",
        *rows,
        f"</table><p class='note'>{missing}</p>",
    ]

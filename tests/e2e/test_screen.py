"""A browser looks at the screen as it is served, with real rows behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from api_rows import (
    GATES,
    alert,
    passage,
    store_alerts,
    store_counts,
    store_forecast,
    store_gates,
    store_passes,
    store_tracks,
    tracks,
    wipe,
)
from playwright.sync_api import Locator, Page, expect

from kakou.detection.reviews import Review
from kakou.settings import Settings
from sql.reviews import store_review

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

PLATES = ("苏C12345", "鲁Q54321", "皖L00077", "苏C99999")
TODAY_PASSES = 137


@pytest.fixture(scope="module")
def now(stack: Settings) -> datetime:
    return datetime.now(ZoneInfo(stack.timezone)).replace(tzinfo=None, microsecond=0)


@pytest.fixture(scope="module")
def filled(
    stack: Settings, now: datetime, serve: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    wipe(stack)
    store_gates(stack, tmp_path_factory.mktemp("dimension"))
    midnight = now.replace(hour=0, minute=0, second=0)
    # Spread over today so far, the last one now; early in the night they simply lie closer together.
    step = (now - midnight) / TODAY_PASSES
    store_passes(
        stack,
        (
            passage(
                f"e{i:04d}",
                GATES[i % 3][0],
                now - step * i,
                PLATES[i % 4],
                hpzl=("02", "01", "52")[i % 3],
                fxlx="1",
            )
            for i in range(TODAY_PASSES)
        ),
    )
    store_forecast(
        stack, [(gate[0], now.date(), hour, 5.0, 2.0, 9.0) for gate in GATES[:3] for hour in range(24)]
    )
    first = ("e1", GATES[0][0], now - timedelta(seconds=400))
    known = alert("苏C12345", first, ("e2", GATES[1][0], now - timedelta(seconds=190)))
    store_alerts(stack, [known])
    store_tracks(stack, known, tracks(known))
    store_counts(stack, withheld=42, late=1, future=0)
    yield stack
    wipe(stack)


@pytest.fixture
def screen(page: Page, serve: Any, filled: Settings) -> Page:
    page.goto(serve.address)
    return page


def figure(page: Page, name: str) -> Any:
    return page.locator(f"[data-figure={name}]")


def painted(page: Page, panel: str) -> int:
    """How many different colours the canvases of a panel show: a blank one has one."""
    colours: int = page.evaluate(
        """name => {
            const seen = new Set();
            for (const canvas of document.querySelectorAll(`[data-panel=${name}] canvas`)) {
                const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                for (let i = 0; i < data.length; i += 4 * 7)
                    seen.add(data[i] << 24 | data[i + 1] << 16 | data[i + 2] << 8 | data[i + 3]);
            }
            return seen.size;
        }""",
        panel,
    )
    return colours


def test_numbers_warnings_and_charts_appear(screen: Page, shots: Path) -> None:
    expect(screen).to_have_title("卡口智能监测大屏 · Kakou")
    expect(figure(screen, "today")).to_have_text(str(TODAY_PASSES), timeout=15_000)
    expect(figure(screen, "withheld")).to_have_text("42")
    expect(figure(screen, "warnings")).to_have_text("1")
    expect(figure(screen, "rate")).to_have_text(re.compile(r"^\d+\.\d+$"))
    expect(figure(screen, "observed")).to_have_text(re.compile(r"^([\d.]+%|—)$"))
    card = screen.locator(".warning").first
    expect(card).to_contain_text("苏C·12345")
    expect(card).to_contain_text("G104 K873")
    expect(card).to_contain_text("G3 K731")
    expect(card).to_contain_text("3分30秒")
    expect(card).to_contain_text("24分")
    expect(card).to_contain_text("535 km/h")
    expect(card).to_contain_text("97.0%")
    expect(screen.locator("[data-connection]")).to_have_attribute("data-connection", "live", timeout=15_000)
    screen.wait_for_timeout(1500)
    for panel in ("top-gates", "vehicle-types", "gate-map", "hourly-flow", "origins"):
        assert painted(screen, panel) > 10, panel
        expect(screen.locator(f"[data-panel={panel}] .panel-empty")).to_be_hidden()
    screen.screenshot(path=shots / "screen-1920.png")
    assert screen.complaints == []  # type: ignore[attr-defined]


def test_nothing_is_cut_off_on_a_small_screen(screen: Page, shots: Path) -> None:
    screen.set_viewport_size({"width": 1366, "height": 768})
    expect(figure(screen, "today")).to_have_text(str(TODAY_PASSES), timeout=15_000)
    screen.wait_for_timeout(1500)
    screen.screenshot(path=shots / "screen-1366.png")
    outside = screen.evaluate(
        """() => [...document.querySelectorAll(
            '.panel, .figure, .top, .connection, .clock, .figure-value, .warning-evidence')]
            .filter(one => { const box = one.getBoundingClientRect();
                return box.right > innerWidth + 1 || box.bottom > innerHeight + 1
                    || box.left < -1 || one.scrollWidth > one.clientWidth + 2 && one.matches('.figure'); })
            .map(one => one.className)"""
    )
    assert outside == []
    assert screen.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_a_new_warning_comes_by_itself_and_flashes(screen: Page, filled: Settings, now: datetime) -> None:
    expect(screen.locator(".warning")).to_have_count(1, timeout=15_000)
    expect(screen.locator(".warning.is-new")).to_have_count(0)
    first = ("n1", GATES[1][0], now - timedelta(seconds=300))
    store_alerts(filled, [alert("苏C77777", first, ("n2", GATES[2][0], now))])
    expect(screen.locator(".warning")).to_have_count(2, timeout=6_000)
    expect(screen.locator(".warning").first).to_contain_text("苏C·77777")
    expect(screen.locator(".warning.is-new")).to_have_count(1)


def test_a_warning_opens_its_page_of_evidence_or_says_why_not(screen: Page, shots: Path) -> None:
    known = screen.locator(".warning", has_text="苏C·12345")
    button = known.get_by_role("button", name="取证单")
    with screen.context.expect_page() as opened:
        button.click(timeout=15_000)
    page = opened.value
    expect(page).to_have_title("苏C12345 · 取证单 Evidence", timeout=10_000)
    expect(page.locator("svg")).to_have_count(2)
    expect(page.locator("body")).to_contain_text("learned from 1,234 trips of the past")
    # Its own styles hold under the policy that it has from the screen.
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "800px"
    page.screenshot(path=shots / "evidence.png", full_page=True)
    page.close()
    bare = screen.locator(".warning", has_text="苏C·77777").get_by_role("button")
    with screen.context.expect_page():
        bare.click()
    expect(bare).to_have_text("未存取证资料 not kept")
    expect(bare).to_contain_text("取证单", timeout=10_000)
    assert [one for one in screen.complaints if "404" not in one] == []  # type: ignore[attr-defined]


def test_what_people_said_stands_at_each_warning(screen: Page, filled: Settings, shots: Path) -> None:
    known = screen.locator(".warning", has_text="苏C·12345")
    other = screen.locator(".warning", has_text="苏C·77777")
    expect(screen.locator(".warning")).to_have_count(2, timeout=15_000)
    expect(screen.locator(".warning-review")).to_have_count(0)
    asked: list[str] = []
    screen.on("request", lambda request: asked.append(request.url) if "review" in request.url else None)
    say(filled, known, Review("confirmed", None, "", "li"))
    say(filled, other, Review("false", "misread", "8 与 B", "王警官"))
    expect(known.locator(".warning-review")).to_contain_text("套牌属实 confirmed", timeout=10_000)
    expect(known.locator(".warning-review")).to_contain_text("li")
    expect(other.locator(".warning-review")).to_contain_text("误报 false · 误识别 misread")
    expect(other.locator(".warning-review")).to_contain_text("王警官")
    screen.screenshot(path=shots / "reviewed-1920.png")
    screen.set_viewport_size({"width": 1366, "height": 768})
    screen.wait_for_timeout(500)
    screen.screenshot(path=shots / "reviewed-1366.png")
    cut_off = """rows => rows.filter(row => row.firstChild.scrollWidth > row.firstChild.clientWidth + 1
        || row.getBoundingClientRect().right > row.parentElement.getBoundingClientRect().right)"""
    assert screen.locator(".warning-review").evaluate_all(cut_off) == []
    # The newest review counts, and one question is asked for all warnings.
    say(filled, known, Review("false", "same_owner", "", "li"))
    expect(known.locator(".warning-review")).to_have_text(
        re.compile("误报 false · 同一车主 same owner"), timeout=10_000
    )
    assert asked and all("/api/reviews?" in url and url.count("alert_id=") == 2 for url in asked)
    assert screen.complaints == []  # type: ignore[attr-defined]


def test_a_review_of_an_older_step_says_that_it_is_one(
    screen: Page, filled: Settings, now: datetime, shots: Path
) -> None:
    card = screen.locator(".warning", has_text="苏C·77777")
    expect(card.locator(".warning-review")).to_contain_text("误识别", timeout=15_000)
    expect(card.locator(".warning-review")).not_to_contain_text("earlier step")
    first = ("n1", GATES[1][0], now - timedelta(seconds=300))
    surer = replace(
        alert("苏C77777", first, ("n2", GATES[2][0], now)), alert_id="7" * 32, step=2, severity="critical"
    )
    store_alerts(filled, [surer])
    expect(card).to_contain_text("紧急", timeout=10_000)
    expect(card.locator(".warning-review")).to_contain_text("误识别", timeout=10_000)
    expect(card.locator(".warning-review")).to_contain_text("先前步骤 earlier step")
    screen.set_viewport_size({"width": 1366, "height": 768})
    card.screenshot(path=shots / "reviewed-before.png")


def say(settings: Settings, card: Locator, review: Review) -> None:
    """Reviews the warning that a card shows."""
    assert store_review(settings, card.get_attribute("data-alert") or "", review)


def test_the_query_page_finds_a_plate_and_pages(screen: Page, shots: Path) -> None:
    screen.get_by_text("查询 Query").click()
    rows = screen.locator(".passes tbody tr")
    expect(rows).to_have_count(20, timeout=15_000)
    expect(screen.locator(".pager-where")).to_contain_text(f"共 {TODAY_PASSES} 条")
    screen.locator("[name=hphm]").fill("鲁q5*")
    screen.get_by_role("button", name="查询 Search").click()
    wanted = len([i for i in range(TODAY_PASSES) if i % 4 == 1])
    expect(screen.locator(".pager-where")).to_contain_text(f"共 {wanted} 条 · 第 1 / 2 页")
    assert set(rows.locator(".plate").all_inner_texts()) == {"鲁Q·54321"}
    screen.screenshot(path=shots / "query-1920.png")
    screen.get_by_text("下一页 next").click()
    expect(rows).to_have_count(wanted - 20)
    screen.locator("[name=kkmc]").fill("没有这个")
    screen.get_by_role("button", name="查询 Search").click()
    expect(screen.locator(".query-status")).to_contain_text("没有这个卡口")
    expect(rows).to_have_count(0)
    assert [one for one in screen.complaints if "404" not in one] == []  # type: ignore[attr-defined]


def test_a_gate_can_be_looked_at_alone(screen: Page) -> None:
    expect(figure(screen, "today")).to_have_text(str(TODAY_PASSES), timeout=15_000)
    screen.wait_for_timeout(1500)
    box = screen.locator("[data-panel=top-gates] canvas").bounding_box()
    assert box
    screen.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 6)
    chip = screen.locator("[data-panel=hourly-flow] .chip")
    expect(chip).to_be_visible(timeout=10_000)
    chip.click()
    expect(chip).to_have_count(0, timeout=10_000)


def test_old_numbers_are_never_shown_as_live(screen: Page, serve: Any, shots: Path) -> None:
    connection = screen.locator("[data-connection]")
    expect(connection).to_have_attribute("data-connection", "live", timeout=15_000)
    serve.stop()
    try:
        expect(connection).to_have_attribute("data-connection", "stale", timeout=20_000)
        expect(screen.locator("[data-panel=warnings]")).to_have_attribute("data-freshness", "stale")
        expect(screen.locator("[data-panel=warnings] .panel-veil")).to_contain_text("数据截至")
        screen.screenshot(path=shots / "stale.png")
        expect(connection).to_have_attribute("data-connection", "offline", timeout=60_000)
    finally:
        serve.start()
    expect(connection).to_have_attribute("data-connection", "live", timeout=20_000)
    expect(screen.locator("[data-panel=warnings] .panel-veil")).to_be_hidden()


def test_an_empty_platform_says_so_in_words(page: Page, serve: Any, filled: Settings, shots: Path) -> None:
    serve.stop()  # empty caches
    wipe(filled)
    serve.start()
    page.goto(serve.address)
    expect(figure(page, "today")).to_have_text("0", timeout=15_000)
    expect(figure(page, "withheld")).to_have_text("—")
    expect(page.locator("[data-panel=warnings] .panel-empty")).to_contain_text("目前没有预警")
    expect(page.locator("[data-panel=top-gates] .panel-empty")).to_contain_text("没有过车")
    expect(page.locator("[data-panel=hourly-flow] .panel-empty")).to_be_visible()
    page.screenshot(path=shots / "empty.png")


def test_the_manual_is_ours_and_asks_nobody_else(page: Page, serve: Any, filled: Settings) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(serve.address)
    page.goto(f"{serve.address}/docs")
    expect(page.get_by_text("/api/predict/flow")).to_be_visible(timeout=20_000)
    assert [url for url in asked if not url.startswith((serve.address, "data:", "blob:"))] == []
    assert page.complaints == []  # type: ignore[attr-defined]


def test_the_page_brings_the_cookie_and_only_the_page(serve: Any, filled: Settings) -> None:
    with httpx.Client(base_url=serve.address) as client:
        assert client.get("/api/gates").status_code == 401
        assert "set-cookie" not in client.get("/health").headers
        set_cookie = client.get("/").headers["set-cookie"].lower()
        assert "httponly" in set_cookie and "samesite=strict" in set_cookie
        assert client.get("/api/gates").status_code == 200

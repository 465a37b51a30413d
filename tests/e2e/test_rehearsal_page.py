"""The page of a rehearsal in a real browser, from the disk, without a network."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Page

from etl.generate.world.write import make_world, write_world
from kakou.detection.rehearsal.run import PAGE, Asked, rehearse
from kakou.settings import Settings

pytestmark = pytest.mark.e2e


def test_the_page_and_its_evidence(settings: Settings, tmp_path: Path, page: Page, shots: Path) -> None:
    world = tmp_path / "world"
    write_world(world, make_world(24, passes=10_000, days=3))
    (tmp_path / "strict.toml").write_text('version = "strict-1"\ncall_at = 0.99\n', "utf-8")
    reviewed = '{"plate": "%s", "at": "2024-03-05 12:00:00", "outcome": "%s"}'
    plates = pl.read_csv(world / "truth_plates.csv").filter("cloned")["plate"]
    lines = [reviewed % (plate, "confirmed") for plate in plates]
    (tmp_path / "reviews.jsonl").write_text("\n".join(lines), "utf-8")
    asked = Asked(
        tmp_path / "strict.toml", passes=world / "history.csv", gates=world / "gates.csv",
        reviews=tmp_path / "reviews.jsonl", out=tmp_path / "out",
    )  # fmt: skip
    folder, report = rehearse(settings, asked)
    asked_for: list[str] = []
    page.on("request", lambda request: asked_for.append(request.url))

    page.goto((folder / PAGE).as_uri())
    for width in (1200, 420):
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=shots / f"rehearsal-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    cases = page.locator(".case")
    assert cases.count() == len(report["removed"]) > 0
    assert cases.first.inner_text().startswith(report["removed"][0]["plate"])
    page.get_by_role("link", name="evidence").first.click()
    assert report["removed"][0]["plate"] in page.title()
    assert all(url.startswith("file:") for url in asked_for) and not page.complaints  # type: ignore[attr-defined]

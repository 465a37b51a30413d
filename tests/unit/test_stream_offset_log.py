"""What a micro-batch spans, and how it is cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kakou.errors import StateFormatError
from spark_jobs.offset_log import OffsetLog, Span

SPANS = st.dictionaries(
    st.integers(0, 9), st.tuples(st.integers(0, 10**9), st.integers(0, 500)), max_size=6
).map(
    lambda found: Span(
        {one: start for one, (start, _) in found.items()}, {one: sum(pair) for one, pair in found.items()}
    )
)


def places(span: Span) -> list[tuple[int, int]]:
    return [(one, at) for one in sorted(span.end) for at in range(span.start[one], span.end[one])]


@given(SPANS, st.integers(1, 300))
def test_cuts_follow_each_other_and_leave_out_nothing(span: Span, most: int) -> None:
    cuts = list(span.cuts(most))
    assert [place for cut in cuts for place in places(cut)] == places(span)
    assert all(0 < cut.size <= most for cut in cuts)
    assert all(cut.size == most for cut in cuts[:-1])
    assert all(cut.start.keys() == cut.end.keys() for cut in cuts)


def checkpoint(folder: Path, files: dict[str, dict[str, int]], topic: str = "passes") -> Path:
    """Files as Spark 4.2 writes them: a version, for a batch what Spark adds, the source's offsets."""
    for name, offsets in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        source = json.dumps({topic: offsets})
        text = f"\0v1\n{source}" if name.startswith("sources") else f'v1\n{{"conf":{{"a":"b"}}}}\n{source}'
        file.write_text(text, "utf-8")
    return folder


def test_a_batch_spans_what_the_one_before_left(tmp_path: Path) -> None:
    log = OffsetLog(
        checkpoint(
            tmp_path,
            {
                "sources/0/0": {"0": 7, "1": 0},
                "offsets/0": {"0": 9, "1": 0},
                "offsets/1": {"0": 9, "1": 4, "2": 3},
            },
        ),
        "passes",
    )
    assert log.span(0) == Span({0: 7, 1: 0}, {0: 9, 1: 0})
    # A partition that came up in between begins at its beginning.
    assert log.span(1) == Span({0: 9, 1: 0, 2: 0}, {0: 9, 1: 4, 2: 3})
    assert log.span(1).size == 7


@pytest.mark.parametrize("text", ["", "v1", "v1\n{}\n-", 'v1\n{}\n{"another": {"0": 1}}', "v1\n{}\n[1]"])
def test_offsets_that_cannot_be_read_are_no_offsets(tmp_path: Path, text: str) -> None:
    checkpoint(tmp_path, {"sources/0/0": {"0": 0}})
    (tmp_path / "offsets").mkdir()
    (tmp_path / "offsets" / "0").write_text(text, "utf-8")
    with pytest.raises(StateFormatError, match="remove the checkpoint"):
        OffsetLog(tmp_path, "passes").span(0)

"""Reading under any damage: it never raises, and only the damaged line is lost."""

import json
import tempfile
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.io.parts import read_part

HEADER = "GCXH,XZQHMC,KKMC,FXLX,GCSJ,HPZL,HP,CLPPXH"
LINES = [
    f'"{10**17 + n}","睢宁县","卡口{n}","2","2023/12/12 9:21:{n:02}","02","苏C{n:05}","-"' for n in range(20)
]
SPLINTERS = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.sampled_from(
        [
            b'"',
            b'""',
            b",",
            b"\n",
            b"\r",
            b"\r\n",
            b"\x00",
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\xa1",
            b"\t",
            b"'",
            b"=",
            b";",
        ]
    ),
    st.text(max_size=8).map(lambda text: text.encode("utf-8", "replace")),
)


def read(data):
    """The passes by id with the rows they came from, the refused rows, and the note."""
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder, "raw"), Path(folder, "out")
        raw.mkdir()
        (raw / "a.csv").write_bytes(data)
        part = read_part(raw, "a.csv", out)
        files = [str(out / "parts" / file) for file in part.files]
        rows = duckdb.sql(f"SELECT GCXH, SOURCE FROM read_parquet({files})").fetchall() if files else []
        notes = (out / "rejected").glob("*") if (out / "rejected").exists() else []
        refused = [json.loads(text) for note in notes for text in note.open(encoding="utf-8")]
    return {gcxh: int(source.rsplit(":", 1)[1]) for gcxh, source in rows}, refused, part


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_set_aside(data):
    rows, refused, part = read(data)
    assert not (part.problem and rows)
    assert bool(part.problem) == any(one["row"] is None for one in refused)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    splinter=SPLINTERS,
    damaged=st.integers(0, len(LINES) - 1),
    place=st.floats(0, 1),
    encoding=st.sampled_from(["utf-8", "gb18030"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_damage_stays_where_it_is(splinter, damaged, place, encoding, end):
    lines = [(line + end).encode(encoding) for line in LINES]
    hit = lines[damaged]
    at = int(place * (len(hit) - len(end)))
    lines[damaged] = hit[:at] + splinter + hit[at:]
    rows, _, part = read((HEADER + end).encode() + b"".join(lines))
    assert not part.problem
    others = {str(10**17 + n): n + 2 for n in range(damaged)}
    assert {gcxh: row for gcxh, row in rows.items() if gcxh in others} == others
    whole = {str(10**17 + n) for n in range(len(LINES)) if n != damaged}
    assert not whole - set(rows), "a damaged line takes no other with it"

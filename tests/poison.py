"""Records that the stream must reject, and odd ones that it must take: one corpus for every test."""

from __future__ import annotations

_FIELDS = (
    "1001",
    "睢宁县",
    "G1",
    "1",
    "2024-01-15 08:00:10",
    "02",
    "苏C12345",
    "大众牌",
    "江苏",
    "0",
    "1",
    "小型汽车",
)


def line(**changes: str) -> bytes:
    """A good record with some fields changed; ``f3="x"`` changes the field at position 3."""
    fields = list(_FIELDS)
    for name, value in changes.items():
        fields[int(name[1:])] = value
    return "\t".join(fields).encode("utf-8", "surrogatepass")


POISON: tuple[tuple[str, bytes, str], ...] = (
    ("not UTF-8", b"\xff\xfe" + line(), "encoding"),
    ("GB18030", "\t".join(_FIELDS).encode("gb18030"), "encoding"),
    ("cut inside a character", line()[:-1], "encoding"),
    ("half of a surrogate pair", line(f7="\ud83d"), "encoding"),
    ("overlong form", line().replace(b"G1", b"\xc1\x87"), "encoding"),
    ("bad bytes in a record with too few fields", b"\xff\t1", "encoding"),
    ("NUL", line(f7="大\x00众"), "nul"),
    ("NUL and too few fields", b"a\x00b", "nul"),
    ("empty", b"", "column_count"),
    ("8 fields", b"\t".join(line().split(b"\t")[:8]), "column_count"),
    ("13 fields", line() + b"\tx", "column_count"),
    ("a TAB at the end", line() + b"\t", "column_count"),
    ("commas", line().replace(b"\t", b","), "column_count"),
    ("JSON", b'{"gcxh": "1001"}', "column_count"),
    ("only TABs", b"\t" * 11, "empty_value"),
    ("no id", line(f0=""), "empty_value"),
    ("no gate", line(f2=""), "empty_value"),
    ("no plate", line(f6=""), "empty_value"),
    ("no time", line(f4=""), "empty_value"),
    ("id ends in a space", line(f0="1001 "), "padded_value"),
    ("gate begins with a space", line(f2=" G1"), "padded_value"),
    ("time ends in a space", line(f4="2024-01-15 08:00:10 "), "padded_value"),
    ("id of 65", line(f0="x" * 65), "too_long"),
    ("gate of 51 characters of four bytes", line(f2="𠮷" * 51), "too_long"),
    ("brand of 900 kB", line(f7="牌" * 300_000), "too_long"),
    ("flag of two", line(f9="10"), "too_long"),
    ("time too long", line(f4="2024-01-15 08:00:10.5"), "too_long"),
    ("30 February", line(f4="2024-02-30 08:00:10"), "bad_time"),
    ("month 13", line(f4="2024-13-01 08:00:10"), "bad_time"),
    ("hour 24", line(f4="2024-01-15 24:00:00"), "bad_time"),
    ("second 60", line(f4="2024-01-15 23:59:60"), "bad_time"),
    ("slashes", line(f4="2024/01/15 08:00:10"), "bad_time"),
    ("one digit", line(f4="2024-1-5 8:0:0"), "bad_time"),
    ("ISO", line(f4="2024-01-15T08:00:10"), "bad_time"),
    ("other digits", line(f4="２０２４-01-15 08:00:10"), "bad_time"),
    ("year 0000", line(f4="0000-01-15 08:00:10"), "bad_time"),
    ("words", line(f4="yesterday"), "bad_time"),
    ("a line break in the time", line(f4="2024-01-15 08:00:1\n"), "bad_time"),
    ("flag 2", line(f9="2"), "bad_flag"),
    ("no flag", line(f10=""), "bad_flag"),
    ("flag in words", line(f10="y"), "bad_flag"),
)

GOOD: tuple[bytes, ...] = (
    line(),
    line(f7=""),
    line(f7="x'); DROP TABLE traffic_data;-- "),
    line(f7='a"b\\n\\N,\\'),
    line(f7="𠮷" * 100, f1="龘"),
    line(f7="first\nsecond\r\nthird"),
    line(f0="x" * 64, f2="G" * 50),
    line(f6="苏C12***"),
    line(f4="2024-02-29 23:59:59"),
    line(f4="1988-04-17 02:30:00"),  # an hour that summer time skipped in Shanghai
    line(f4="1000-01-01 00:00:00"),
    line(f3=" ", f5="-"),
    line(f7="\\N"),
    line(f7="NULL", f1="''"),
)

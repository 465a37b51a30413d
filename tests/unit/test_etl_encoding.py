"""The encoding of a file is found from all of its bytes."""

import codecs

import pytest

from etl.io.encoding import as_utf8

TEXT = '"GCXH","KKMC"\n"1","徐州市睢宁县S325淮宿线"\n'


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT.encode("gb18030"), "gb18030"),
        (TEXT.encode(), "utf-8"),
        (codecs.BOM_UTF8 + TEXT.encode(), "utf-8-sig"),
        (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), "utf-16"),
        # The first Chinese character stands far behind any sample.
        (b"a,b\n" * 2_000_000 + "睢".encode("gb18030"), "gb18030"),
    ],
)
def test_encoding_and_text(tmp_path, data, encoding):
    path = tmp_path / "raw.csv"
    path.write_bytes(data)
    found = as_utf8(path, tmp_path / "scratch")
    assert found.encoding == encoding
    assert not found.broken
    text = found.path.read_text(encoding="utf-8-sig")
    assert text == (TEXT if len(data) < 1000 else "a,b\n" * 2_000_000 + "睢")


def test_a_character_cut_by_the_read_size_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("etl.io.encoding.CHUNK", 7)
    path = tmp_path / "raw.csv"
    path.write_bytes(("睢宁县" * 50).encode("gb18030"))
    assert as_utf8(path, tmp_path / "scratch").path.read_text(encoding="utf-8") == "睢宁县" * 50


def test_bytes_without_meaning_are_marked_and_the_rest_is_kept(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_bytes("睢".encode("gb18030") + b"\xff,ok\n")
    found = as_utf8(path, tmp_path / "scratch")
    assert found.broken
    assert found.path.read_text(encoding="utf-8").endswith(",ok\n")


def test_unusual_characters_are_noticed(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_bytes("苏Ｃ1\tx".encode())
    found = as_utf8(path, tmp_path / "scratch")
    assert found.wide and found.odd

"""A person's own gate file: what it may say, how a decision gets into it, and what a run makes of it."""

import csv
import json

import duckdb
import pytest
from typer.testing import CliRunner

from etl.gate_decisions import accept_alias, accept_gate, proposals
from etl.gates_commands import gates
from etl.registry import known_gates, resolve
from etl.steps.standardise import spellings, standardise
from kakou.errors import BadInputError
from kakou.fields import DIMENSION_COLUMNS
from kakou.settings import load_settings

HEAD = ",".join(DIMENSION_COLUMNS)
KNOWN = "S325_Suining_K63"
NORTH = "徐州市睢宁县S325淮宿线K63(325省道)63K+100M北侧-向西卡口市际卡口"
PEIXIAN = "徐州市沛县G343国道K12大屯卡口"
PEIXIAN_WIDE = "徐州市沛县Ｇ343国道Ｋ12大屯卡口"


@pytest.fixture
def overlay(tmp_path):
    return tmp_path / "gates.csv"


@pytest.fixture
def merged(tmp_path):
    """A folder with merged passes: a known gate, one that looks like it, two writings of a new one."""
    out = tmp_path / "clean"
    out.mkdir()
    rows = [
        (KNOWN, "睢宁县", 1, 5),
        (NORTH, "睢宁县", 2, 3),
        (PEIXIAN, "", 3, 4),
        (PEIXIAN_WIDE, "沛县", 4, 2),
    ]
    values = ", ".join(
        f"('{name}{day}{n}', '{district}', '{name}', '1', TIMESTAMP '2024-01-0{day} 00:00:0{n}', '''2', "
        "'苏C12345', '-', 'observed', '', 'a.csv#1')"
        for name, district, day, count in rows
        for n in range(count)
    )
    columns = "GCXH, XZQHMC, KKMC, FXLX, GCSJ, HPZL, HPHM, CLPPXH, ORIGIN, IMPUTED, SOURCE"
    duckdb.connect().execute(
        f"COPY (SELECT * FROM (VALUES {values}) t({columns}) ORDER BY GCSJ, GCXH) "
        f"TO '{out / 'merged_data.parquet'}' (FORMAT parquet)"
    )
    return out


def kakou_gates(*arguments):
    return CliRunner().invoke(gates, [str(one) for one in arguments])


def test_without_a_file_there_are_the_known_gates(overlay):
    assert known_gates(overlay) == known_gates() == known_gates(None)
    assert len(known_gates()) == 19


def test_a_row_adds_aliases_and_replaces_what_it_fills_in(overlay):
    overlay.write_text(
        f"{HEAD}\n{KNOWN},,别名,,,,省际,118.1,33.9\nG9_New_K1,新卡口,,沛县,G9,K1,,,\n", "utf-8"
    )
    old = {gate.kkmc: gate for gate in known_gates()}[KNOWN]
    new = {gate.kkmc: gate for gate in known_gates(overlay)}
    assert new[KNOWN].aliases == (*old.aliases, "别名")
    assert (new[KNOWN].name, new[KNOWN].road) == (old.name, old.road)
    assert (new[KNOWN].boundary, new[KNOWN].lon, new[KNOWN].lat) == ("省际", 118.1, 33.9)
    assert new["G9_New_K1"].aliases == ("新卡口",) and new["G9_New_K1"].lon is None
    assert resolve([("新卡口", "")], tuple(new.values()))["新卡口"].kkmc == "G9_New_K1"


def test_a_spreadsheet_of_the_country_is_read(overlay):
    overlay.write_bytes(f"{HEAD}\r\nG9_New_K1,新卡口,,沛县,,,,,\r\n\r\n,,,,,,,,\r\n".encode("gb18030"))
    assert "G9_New_K1" in {gate.kkmc for gate in known_gates(overlay)}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("KKMC,NAME\n", "must begin with the line KKMC,NAME,ALIASES"),
        (f"{HEAD}\nG9_K1,x\n", "line 2 must hold 9 values"),
        (f"{HEAD}\nG9_K1,,,,,,,,\n", "line 2: 'G9_K1' is a new gate, which needs a name"),
        (f"{HEAD}\n沛县_K1,x,,,,,,,\n", "'沛县_K1' must be 1-50 ASCII"),
        (f"{HEAD}\n{'G' * 51},x,,,,,,,\n", "must be 1-50 ASCII"),
        (f"{HEAD}\nG9_K1,x,,,,,县际,,\n", "BOUNDARY of G9_K1"),
        (f"{HEAD}\nG9_K1,x,,,,,,117.1,\n", "line 2: LON and LAT must both be degrees"),
        (f"{HEAD}\nG9_K1,x,,,,,,34.1,117.1\n", "Are the two exchanged?"),
        (f"{HEAD}\nG9_K1,x,,,,,,nan,nan\n", "is not in the country"),
        (f"{HEAD}\nG9_K1,x,,,,,,,\nG9_K2,X,,,,,,,\n", "names both G9_K1 and G9_K2"),
        (f"{HEAD}\nG9_K1,s325_suining_k63,,,,,,,\n", f"names both G9_K1 and {KNOWN}"),
    ],
)
def test_a_file_that_cannot_be_is_refused_in_clear_words(overlay, content, words):
    overlay.write_text(content, encoding="utf-8")
    with pytest.raises(BadInputError) as error:
        known_gates(overlay)
    assert words in str(error.value) and str(overlay) in str(error.value)


def test_proposals_tell_the_evidence(merged, overlay):
    peixian, north = proposals(merged, overlay)
    assert (peixian.gate.kkmc, peixian.passes, peixian.days) == ("G343_Peixian_K12", 6, 2)
    assert set(peixian.gate.aliases) == {PEIXIAN, PEIXIAN_WIDE}
    assert peixian.districts == ("沛县",) and (str(peixian.first), str(peixian.last)) == (
        "2024-01-03",
        "2024-01-04",
    )
    assert north.looks_like is not None and north.looks_like[0] == KNOWN
    assert "'东' → '北'" in north.why_en


def test_days_of_several_writings_are_counted_once(merged, overlay):
    source = merged / "merged_data.parquet"
    again = (
        duckdb.connect()
        .sql(
            f"SELECT * REPLACE (GCSJ - INTERVAL 1 DAY AS GCSJ) FROM '{source}' WHERE KKMC = '{PEIXIAN_WIDE}' "
            f"UNION ALL SELECT * FROM '{source}' WHERE KKMC = '{PEIXIAN}'"
        )
        .to_arrow_table()
    )
    con = duckdb.connect()
    con.register("again", again)
    con.execute(f"COPY again TO '{source}' (FORMAT parquet)")
    assert [(one.passes, one.days) for one in proposals(merged, overlay)] == [(6, 1)]


def test_an_accepted_alias_is_that_gate_from_then_on(merged, overlay):
    assert kakou_gates("accept", NORTH, "--as", KNOWN, "--registry", overlay).exit_code == 0
    assert resolve([(NORTH, "")], known_gates(overlay))[NORTH].kkmc == KNOWN
    assert [one.gate.name for one in proposals(merged, overlay)] == [PEIXIAN]
    before = overlay.read_bytes()
    accept_alias(overlay, NORTH, KNOWN)
    assert overlay.read_bytes() == before
    # The row says nothing but the alias, so what the package learns of the gate later still counts.
    (row,) = csv.DictReader(overlay.read_text("utf-8-sig").splitlines())
    assert {name: value for name, value in row.items() if value} == {"KKMC": KNOWN, "ALIASES": NORTH}


def test_an_accepted_proposal_is_a_gate_with_all_its_writings(merged, overlay):
    done = kakou_gates(
        "accept", PEIXIAN_WIDE, "--out", merged, "--registry", overlay, "--lon", 116.9, "--lat", 34.7
    )
    assert done.exit_code == 0, done.output
    known = known_gates(overlay)
    assert len(known) == 20
    for spelling in (PEIXIAN, PEIXIAN_WIDE, "G343_Peixian_K12"):
        gate = resolve([(spelling, "")], known)[spelling]
        assert not gate.proposed and (gate.kkmc, gate.lon) == ("G343_Peixian_K12", 116.9)
    accept_alias(overlay, "沛县大屯老卡口", "G343_Peixian_K12")
    assert resolve([(PEIXIAN, "")], known_gates(overlay))[PEIXIAN].kkmc == "G343_Peixian_K12"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((NORTH, "--as", "S325_Suining_K36"), "No gate has the codename S325_Suining_K36 (S325_Suining_K63"),
        (("G3_Xuzhou_K731", "--as", KNOWN), "names G3_Xuzhou_K731 already"),
        (("a|b", "--as", KNOWN), "cannot be an alias"),
        ((" ", "--as", KNOWN), "cannot be an alias"),
        (("没有的卡口",), "is no unknown gate"),
        ((PEIXIAN, "--codename", KNOWN), "is taken"),
        ((PEIXIAN, "--codename", "大屯"), "must be 1-50 ASCII"),
        ((PEIXIAN, "--lon", "1", "--lat", "2"), "is not in the country"),
        ((PEIXIAN, "--lon", "117"), "Give both"),
        ((NORTH, "--as", KNOWN, "--district", "沛县"), "--as names a known gate"),
    ],
)
def test_a_decision_that_cannot_be_leaves_the_file_as_it_was(merged, overlay, arguments, words):
    accept_alias(overlay, "旧别名", KNOWN)
    before = overlay.read_bytes()
    done = kakou_gates("accept", *arguments, "--out", merged, "--registry", overlay)
    assert isinstance(done.exception, BadInputError) and words in str(done.exception)
    assert overlay.read_bytes() == before


def test_a_proposal_that_was_accepted_meanwhile_is_refused(merged, overlay):
    gate = proposals(merged, overlay)[0].gate
    accept_gate(overlay, gate)
    with pytest.raises(BadInputError, match="is taken"):
        accept_gate(overlay, gate)


def test_a_folder_without_passes_is_named_and_not_made(tmp_path):
    with pytest.raises(BadInputError, match="holds no merged passes"):
        proposals(tmp_path / "typo", None)
    assert not (tmp_path / "typo").exists()


def test_the_lists_can_be_read_by_a_program(merged, overlay):
    accept_alias(overlay, NORTH, KNOWN)
    listed = json.loads(kakou_gates("list", "--json", "--registry", overlay).stdout)
    assert len(listed) == 19 and NORTH in next(one for one in listed if one["KKMC"] == KNOWN)["ALIASES"]
    (waiting,) = json.loads(kakou_gates("proposals", "--out", merged, "--registry", overlay, "--json").stdout)
    assert waiting["passes"] == 6 and waiting["why_not"]["en"]
    assert PEIXIAN in kakou_gates("proposals", "--out", merged, "--registry", overlay).stdout
    assert KNOWN in kakou_gates("list", "--registry", overlay).stdout


def test_the_file_is_below_var_unless_it_is_named(tmp_path):
    assert load_settings(var=tmp_path).gate_registry_file == tmp_path / "gates.csv"
    named = load_settings(var=tmp_path, gate_registry=str(tmp_path / "mine.csv"))
    assert named.gate_registry_file == tmp_path / "mine.csv"


def test_standardise_keeps_the_order_and_fills_the_district_from_the_gate(merged, overlay):
    con = duckdb.connect()
    passes = con.sql(f"SELECT * FROM '{merged / 'merged_data.parquet'}'")
    accept_alias(overlay, NORTH, KNOWN)
    names = [(name, district) for name, district, _ in spellings(passes).fetchall()]
    rows = standardise(passes, resolve(names, known_gates(overlay)))
    assert rows.columns == passes.columns
    got = rows.fetchall()
    assert [row[0] for row in got] == [row[0] for row in passes.fetchall()]
    assert {(row[2], row[1]) for row in got} == {(KNOWN, "睢宁县"), ("G343_Peixian_K12", "沛县")}
    assert {row[5] for row in got} == {"02"}

"""Columns are found by meaning and order, whatever the dialect."""

import pytest

from etl.steps.header import map_columns
from kakou.fields import FIELDS_8

IN_ORDER = {field: i for i, field in enumerate(FIELDS_8)}


@pytest.mark.parametrize(
    "header",
    [
        ["GCXH", "XZQHMC", "KKMC", "FXLX", "GCSJ", "HPZL", "HP", "CLPPXH"],
        ["'G'||GCXH", "XZQHMC", "KKMC", "FXLX", "TO_CHAR(GCSJ,'YYYY-MM-DDHH24:M", "HPZL",
         "SUBSTR(HPHM,0,4)||'***'", "CLPPXH"],
        ["\ufeffgcxh", "xzqhmc", "kkmc", "fxlx", "gcsj", "hpzl", "hphm", "clppxh"],
        ["过车序号", "行政区划名称", "卡口名称", "方向类型",
         "过车时间", "号牌种类", "号牌号码", "车辆品牌型号"],
        ["ＧＣＸＨ", "XZQHMC", "KKMC", "FXLX", "GCSJ", "HPZL", "HPHM", "CLPPXH"],
        # One name that nobody knows, in the place that the order gives it.
        ["GCXH", "XZQHMC", "KKMC", "FXLX", "GCSJ", "HPZL", "PLATE_NO", "CLPPXH"],
    ],
)  # fmt: skip
def test_every_dialect_maps_to_the_eight_fields(header):
    assert map_columns(header) == (IN_ORDER, True)


def test_other_order_and_extra_columns_are_mapped_by_meaning():
    mapping, has_header = map_columns(["备注", *reversed(FIELDS_8)])
    assert has_header
    assert mapping == {field: 8 - i for i, field in enumerate(FIELDS_8)}


def test_a_first_row_that_is_a_pass_is_no_header():
    row = ["3203001", "睢宁县", "卡口", "2", "2023/12/12 0:21:41", "02", "苏C12345", "-"]
    assert map_columns(row) == (IN_ORDER, False)


@pytest.mark.parametrize("row", [["a", "b"], ["junk"], [], ["GCXH", "HPHM"], ["x"] * 8])
def test_other_tables_are_refused(row):
    assert map_columns(row) is None


def test_a_missing_field_among_shuffled_ones_is_not_guessed():
    assert map_columns(["KKMC", "GCXH", "XZQHMC", "FXLX", "GCSJ", "HPZL", "WHAT", "CLPPXH"]) is None

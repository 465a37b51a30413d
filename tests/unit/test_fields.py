import doctest

import pytest

from kakou import alert, fields, geography, plates, sharding


def test_orders_are_the_contract() -> None:
    assert fields.FIELDS_8 == ("GCXH", "XZQHMC", "KKMC", "FXLX", "GCSJ", "HPZL", "HPHM", "CLPPXH")
    assert fields.FIELDS_12[8:] == ("PROVINCE", "IS_WEEKEND", "IS_PEAK_HOUR", "VEHICLE_TYPE_NAME")


def test_every_province_has_its_own_name() -> None:
    assert len(fields.PROVINCES) == len(set(fields.PROVINCES.values())) == 31


@pytest.mark.parametrize("module", [alert, geography, plates, sharding])
def test_examples_in_docstrings_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


def test_great_circle_of_a_known_pair() -> None:
    # Beijing to Shanghai, 1,067 km by the usual tables
    assert geography.great_circle_km(116.4074, 39.9042, 121.4737, 31.2304) == pytest.approx(1067, abs=2)

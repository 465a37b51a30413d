"""Parameters that cannot hold are refused in one sentence."""

import pytest

from etl.params import EtlParams, parse_replicate
from kakou.errors import BadInputError


def test_a_range_is_copied_day_by_day_and_begun_again():
    assert parse_replicate("12-13:18-21") == ((12, 18), (13, 19), (12, 20), (13, 21))


@pytest.mark.parametrize(
    "text", ["12-17", "a-b:c-d", "17-12:18-21", "12-17:21-18", "0-3:5-6", "12-17:17-20", "12-32:1-2"]
)
def test_bad_ranges(text):
    with pytest.raises(BadInputError):
        EtlParams(replicate=text)


@pytest.mark.parametrize("values", [{"imputation_confidence": 1.5}, {"max_reject_share": -0.1}])
def test_shares_lie_between_0_and_1(values):
    with pytest.raises(BadInputError, match="between 0 and 1"):
        EtlParams(**values)

"""The batch engine sees plates as ``kakou.plates`` does."""

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.steps.plate_kind import plate_kind
from kakou.fields import PROVINCES
from kakou.plates import kind_of

CON = duckdb.connect()
PLATE_LIKE = st.one_of(
    st.text(max_size=9).filter(lambda text: "\x00" not in text),
    st.text("苏鲁使CDFI0123456789*?＊挂学警应急-", max_size=9),
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from([*PROVINCES, "使", ""]),
            st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", max_size=1),
            st.text("ADFK0123456789", min_size=4, max_size=6),
            st.sampled_from(["", "", "挂", "警", "应急", "*", "***", "D"]),
        ),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PLATE_LIKE, min_size=1, max_size=60))
def test_kinds_agree(plates):
    numbered = list(enumerate(plates))
    marks = ", ".join("(?, ?)" for _ in numbered)
    rows = CON.execute(
        f"SELECT plate, {plate_kind('plate')} FROM (VALUES {marks}) t(n, plate) ORDER BY n",
        [value for pair in numbered for value in pair],
    ).fetchall()
    assert [kind for _, kind in rows] == [kind_of(plate) for plate in plates]

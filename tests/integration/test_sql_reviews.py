"""Reviews on their way through the endpoint to their node, and who may write what."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree

import pymysql
import pytest
from api_client import NOW, without
from api_rows import GATES, alert, store_alerts, wipe
from pass_rows import ask

from kakou.connections import connect
from kakou.detection.reviews import Review, StoredReview
from kakou.detection.warning_tables import asking, reviews_named, what_counts_of
from kakou.errors import BadInputError, StorageError
from kakou.settings import SHIPPED_TOPOLOGY, Settings
from sql.endpoint import REVIEWER_RIGHTS, apply
from sql.migrate import migrate
from sql.reviews import all_reviewed, bodies_of, store_review

pytestmark = pytest.mark.integration

FIRST = alert(
    "苏C00001", ("a", GATES[0][0], NOW - timedelta(minutes=3)), ("b", GATES[1][0], NOW), verdict="undecided"
)
SECOND = replace(FIRST, alert_id="2" * 32, step=2, verdict="cloned_plate")
OTHER = alert("苏C00002", ("c", GATES[0][0], NOW - timedelta(minutes=3)), ("d", GATES[1][0], NOW))
RIGHT = Review("confirmed", None, "", "li")
WRONG = Review("false", "misread", "8 与 B 相混 🚗", "wang")


@pytest.fixture
def stores(stack: Settings) -> Iterator[Settings]:
    wipe(stack)
    store_alerts(stack, [FIRST, SECOND, OTHER], to_redis=False)
    yield stack
    wipe(stack)


def on_the_node(settings: Settings) -> list[tuple[object, ...]]:
    with connect(settings, "dn1", "root") as server:
        return ask(server, "SELECT id, alert_id, verdict, reason, note, reviewer FROM reviews ORDER BY id")


def reviews_of(settings: Settings, name: str) -> list[StoredReview] | None:
    with connect(settings, "endpoint", "kakou_reader") as server, server.cursor() as cursor:
        return reviews_named(asking(cursor), name)


def test_a_review_lies_on_its_node_as_it_was_said(stores: Settings) -> None:
    stored = store_review(stores, OTHER.alert_id, WRONG)
    assert stored is not None
    assert (stored.alert_id, stored.review) == (OTHER.alert_id, WRONG)
    row = (stored.id, OTHER.alert_id, "false", "misread", WRONG.note, "wang")
    assert on_the_node(stores) == [row]
    assert reviews_of(stores, OTHER.alert_id) == [stored]


def test_a_case_means_its_newest_alert(stores: Settings) -> None:
    stored = store_review(stores, FIRST.case_id, RIGHT)
    assert stored is not None and stored.alert_id == SECOND.alert_id
    earlier = store_review(stores, FIRST.alert_id, WRONG)
    assert reviews_of(stores, FIRST.case_id) == [earlier, stored]
    assert reviews_of(stores, OTHER.case_id) == []


@pytest.mark.parametrize("name", ["0" * 32, "", "苏C00001", "x' OR '1'='1", "1" * 33])
def test_what_nobody_knows_is_not_reviewed(stores: Settings, name: str) -> None:
    assert store_review(stores, name, RIGHT) is None
    assert reviews_of(stores, name) is None
    assert on_the_node(stores) == []


def test_a_review_that_does_not_fit_is_refused(stores: Settings) -> None:
    with pytest.raises(BadInputError, match="needs a reason"):
        store_review(stores, OTHER.alert_id, replace(WRONG, reason=None))
    assert on_the_node(stores) == []


def test_nothing_is_overwritten_and_the_newest_review_of_each_case_counts(stores: Settings) -> None:
    for name, review in ((OTHER.alert_id, RIGHT), (OTHER.alert_id, WRONG), (SECOND.alert_id, WRONG)):
        store_review(stores, name, review)
    last = store_review(stores, FIRST.alert_id, RIGHT)
    assert len(on_the_node(stores)) == 4
    found = all_reviewed(stores)
    assert [(one.last.hphm, one.last.verdict, one.confirmed) for one in found] == [
        ("苏C00001", "cloned_plate", True),
        ("苏C00002", "cloned_plate", False),
    ]
    assert [one.alert_id for one in found[0].steps] == [FIRST.alert_id, SECOND.alert_id]
    assert found[0].review == last
    assert bodies_of(stores, [OTHER.alert_id, "0" * 32]) == {OTHER.alert_id: OTHER.to_json()}
    # The same through the endpoint, which cannot join.
    with connect(stores, "endpoint", "kakou_reader") as server, server.cursor() as cursor:
        counts = what_counts_of(asking(cursor), {SECOND.alert_id, OTHER.alert_id, "x' OR '1'='1"})
        assert what_counts_of(asking(cursor), set()) == {}
    assert counts == {SECOND.alert_id: last, OTHER.alert_id: found[1].review}


def test_reviewers_at_once_lose_nothing_and_read_their_own(stores: Settings) -> None:
    found: list[object] = []

    def say(who: str) -> None:
        for _ in range(5):
            try:
                stored = store_review(stores, OTHER.alert_id, replace(RIGHT, reviewer=who))
                assert stored is not None and stored.review.reviewer == who
                found.append(stored.id)
            except BaseException as error:
                found.append(error)

    threads = [threading.Thread(target=say, args=(f"r{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=str) == sorted((row[0] for row in on_the_node(stores)), key=str)
    assert len(found) == 20


def test_a_row_that_was_written_on_the_node_takes_no_number_away(stores: Settings) -> None:
    """As a restored backup does: the endpoint must not go on counting where it was."""
    store_review(stores, OTHER.alert_id, RIGHT)
    with connect(stores, "dn1", "kakou_writer") as server, server.cursor() as cursor:
        for _ in range(3):
            cursor.execute(
                "INSERT INTO reviews (alert_id, verdict, note, reviewer) VALUES (%s, 'false', '', 'x')",
                (OTHER.alert_id,),
            )
        server.commit()
    stored = store_review(stores, OTHER.alert_id, RIGHT)
    rows = on_the_node(stores)
    assert stored is not None and len(rows) == 5 and rows[-1][0] == stored.id


@pytest.mark.parametrize("away", ["endpoint", "dn1"])
def test_a_store_that_is_away_is_named(stores: Settings, away: str) -> None:
    settings = without(stores, [away])
    with pytest.raises(StorageError, match=f"Reviews at {away}"):
        if away == "endpoint":
            store_review(settings, OTHER.alert_id, RIGHT)
        else:
            all_reviewed(settings)


def test_the_reviewer_adds_to_what_people_say_and_writes_nothing_else(stores: Settings) -> None:
    with connect(stores, "endpoint", "kakou_reviewer") as server, server.cursor() as cursor:
        cursor.execute("INSERT INTO audit (actor, action, subject, reason) VALUES ('a', 'b', 'c', 'd')")
        cursor.execute("INSERT INTO users (username, password_hash, role) VALUES ('a', 'b', 'c')")
        server.rollback()
        for statement in (
            "SELECT password_hash FROM users", "SELECT COUNT(*) FROM audit", "SELECT * FROM warning_tracks",
            "UPDATE reviews SET verdict = 'confirmed'", "DELETE FROM reviews",
            "UPDATE users SET role = 'admin'", "DELETE FROM audit",
            "UPDATE warnings SET verdict = 'misread'", "DELETE FROM warnings",
            "INSERT INTO warnings (alert_id) VALUES ('x')", "SELECT * FROM traffic_data LIMIT 1",
            "INSERT INTO traffic_data (id) VALUES ('x')", "SELECT * FROM flow_hourly LIMIT 1",
            "DROP TABLE reviews", "TRUNCATE TABLE reviews", "CREATE TABLE t (a INT)",
        ):  # fmt: skip
            with pytest.raises(pymysql.OperationalError, match="denied"):
                cursor.execute(statement)
    for node in ("dn1", "dn2"):
        with pytest.raises(pymysql.OperationalError, match="denied"):
            connect(stores, node, "kakou_reviewer")


def test_the_reviewer_is_granted_what_is_written_down_and_nothing_else(stores: Settings) -> None:
    """Whatever an older version granted; and a real MyCat is told the same."""
    account, wanted = f"'kakou_reviewer'@'{stores.host}'", set()
    for table, rights in REVIEWER_RIGHTS.items():
        wanted |= {(table, right) for right in rights}
    with connect(stores, "endpoint", "root", autocommit=True) as server, server.cursor() as cursor:
        cursor.execute(f"GRANT SELECT, UPDATE ON users TO {account}")
        cursor.execute(f"GRANT SELECT ON traffic_data TO {account}")
        apply(stores)
        granted = ask(
            server,
            "SELECT table_name, privilege_type FROM information_schema.table_privileges "
            f'WHERE grantee = "{account}"',
        )
        assert set(granted) == wanted
        # What holds for whole schemas, or everywhere, is nothing: USAGE is the right to sign in.
        wider = ask(server, f"SHOW GRANTS FOR {account}")
        assert [row[0] for row in wider if " ON `MYETCDB`.`" not in row[0]] == [
            next(row[0] for row in wider if row[0].startswith("GRANT USAGE ON *.*"))
        ]
    assert in_mycat() == wanted


def in_mycat() -> set[tuple[str, str]]:
    """Tables and rights of the reviewer in ``mycat_conf/server.xml``."""
    words = ("INSERT", "UPDATE", "SELECT", "DELETE")
    root = ElementTree.fromstring((SHIPPED_TOPOLOGY / "server.xml").read_text("utf-8"))
    user = next(one for one in root.iterfind("user") if one.get("name") == "kakou_reviewer")
    schema = user.find("privileges/schema")
    assert schema is not None and schema.get("dml") == "0000"
    return {
        (str(table.get("name")), word)
        for table in schema.iterfind("table")
        for word, flag in zip(words, str(table.get("dml")), strict=True)
        if flag == "1"
    }


def test_the_column_is_added_to_reviews_that_are_there(stores: Settings) -> None:
    """As on a stack of the revision before, and as after a kill behind the one statement."""
    for half_done in (False, True):
        with connect(stores, "dn1", "root", autocommit=True) as server, server.cursor() as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = '0002'")
            if not half_done:
                cursor.execute("ALTER TABLE reviews DROP COLUMN reason")
                cursor.execute(
                    "INSERT INTO reviews (alert_id, verdict, note, reviewer) "
                    "VALUES ('old', 'confirmed', '', 'li')"
                )
        migrate(stores)
        assert [row[1:4] for row in on_the_node(stores)] == [("old", "confirmed", None)]

"""The balance of a run from what ingest and stream said of themselves, and beside what the data say."""

from datetime import UTC, datetime

from penstock.audit.ledger.account import Account
from penstock.audit.ledger.reconcile import balance_of_counts, balance_of_data
from penstock.cassandra import Report, RunCounts, Tally

AT = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
PASSED = {0: 99, 1: 99}
"""Where the stream is once it has passed everything that `report` says."""


def report(fetched: int = 100, rejected: int = 0, minute: int = 0) -> Report:
    return Report(fetched, fetched - rejected, rejected, AT.replace(minute=minute), {0: 99, 1: 50})


def counts(reports: dict[str, Report], tallies: dict[str, Tally], resolved: int = 0) -> RunCounts:
    return RunCounts("r", reports, tallies, resolved, AT)


def test_all_that_was_published_and_taken_balances() -> None:
    balance = balance_of_counts(counts({"a": report()}, {"a": Tally(100, 3)}), PASSED)
    assert (balance.settled, balance.problem) == (True, "")
    assert balance.equation() == "fetched 100 = stored 97 + dead-lettered 3"


def test_what_the_stream_has_yet_to_reach_is_in_flight_and_no_problem() -> None:
    balance = balance_of_counts(counts({"a": report()}, {"a": Tally(60)}), {0: 59})
    assert (balance.account.in_flight, balance.settled, balance.problem) == (40, False, "")


def test_what_the_stream_has_passed_without_taking_it_is_lost() -> None:
    balance = balance_of_counts(counts({"a": report()}, {"a": Tally(99)}), PASSED)
    assert balance.account.lost == 1
    assert "passed 1 items" in balance.problem


def test_more_than_was_published_is_a_problem() -> None:
    assert "1 messages more" in balance_of_counts(counts({"a": report()}, {"a": Tally(101)}), PASSED).problem


def test_items_rejected_by_ingest_are_dead_lettered() -> None:
    balance = balance_of_counts(counts({"a": report(rejected=2)}, {"a": Tally(98, 1)}), PASSED)
    assert balance.equation() == "fetched 100 = stored 97 + dead-lettered 3"


def test_try_that_failed_is_repeated_by_the_one_that_went_through() -> None:
    balance = balance_of_counts(counts({"b": report()}, {"a": Tally(40, 1), "b": Tally(100, 2)}), PASSED)
    assert (balance.account.stored, balance.account.dead_lettered, balance.account.repeated) == (98, 2, 40)


def test_newest_report_counts_when_an_interval_was_run_again() -> None:
    run = counts({"a": report(90), "b": report(minute=5)}, {"a": Tally(90), "b": Tally(100)})
    assert balance_of_counts(run, PASSED).fetched == 100


def test_resolved_letter_is_stored() -> None:
    balance = balance_of_counts(counts({"a": report()}, {"a": Tally(100, 3)}, resolved=2), PASSED)
    assert balance.equation() == "fetched 100 = stored 99 + dead-lettered 1"


def test_run_without_a_report_is_neither_settled_nor_a_problem() -> None:
    balance = balance_of_counts(counts({}, {"": Tally(10, 1)}), PASSED)
    assert (balance.settled, balance.problem) == (False, "")
    assert balance.equation() == "fetched 10 = stored 9 + dead-lettered 1 (not reported by ingest)"


def data(stored: int, dead: int = 0, flying: int = 0, lost: int = 0) -> Account:
    return Account("r", stored + dead + flying, stored, dead, flying, 0, 0, lost)


REPORTED = counts({"a": report()}, {})


def test_data_that_agree_with_the_report_balance() -> None:
    assert balance_of_data(data(98, 1, 1), REPORTED, {}, deletes=False).problem == ""


def test_item_that_is_not_in_the_topic_is_a_problem() -> None:
    assert "1 items that ingest published" in balance_of_data(data(99), REPORTED, {}, deletes=False).problem


def test_item_that_kafka_deleted_is_expired() -> None:
    balance = balance_of_data(data(99), REPORTED, {}, deletes=True)
    assert (balance.expired, balance.problem) == (1, "")


def test_item_that_nobody_published_is_a_problem() -> None:
    assert "1 items more" in balance_of_data(data(101), REPORTED, {}, deletes=True).problem


def test_item_that_the_stream_passed_is_a_problem_deeply() -> None:
    assert "passed 2 items" in balance_of_data(data(98, 0, 2, lost=2), REPORTED, {}, deletes=False).problem


def test_items_past_the_tables_ttl_balance() -> None:
    account = Account("r", 100, 40, 0, 0, 0, 0, past_ttl=60)
    balance = balance_of_data(account, REPORTED, {}, deletes=False)
    assert (balance.settled, balance.problem) == (True, "")
    assert balance.equation() == "fetched 100 = stored 40 + dead-lettered 0 + past TTL 60"


def test_examples_of_what_is_lost_are_named() -> None:
    lost = balance_of_data(data(98, 0, 2, lost=2), REPORTED, {}, deletes=False, lost="7 at t/0/1 (phone is still set)")
    assert "e.g. 7 at t/0/1 (phone is still set)" in lost.problem


def test_rows_that_another_program_changed_are_a_warning_and_no_problem() -> None:
    changed = (3, "7 (last_name)")
    balance = balance_of_data(data(100), REPORTED, {}, deletes=False, changed=changed)
    assert (balance.settled, balance.problem) == (True, "")
    assert "3 rows have values that are newer than every message of their key, e.g. 7 (last_name)" in balance.warning
    assert "deleted" not in balance.warning
    assert "deleted" in balance_of_data(data(100), REPORTED, {}, deletes=True, changed=changed).warning


UNREADABLE = {1: range(40, 60)}
"""The last message of `report` in partition 1 is the one with offset 50."""


def test_item_behind_an_open_transaction_is_in_flight_deeply() -> None:
    balance = balance_of_data(data(90), REPORTED, UNREADABLE, deletes=False)
    assert (balance.account.in_flight, balance.settled, balance.problem) == (10, False, "")
    assert balance.equation() == "fetched 100 = stored 90 + dead-lettered 0 + in flight 10"


def test_open_transaction_elsewhere_excuses_nothing() -> None:
    for elsewhere in ({1: range(51, 60)}, {2: range(40, 60)}):
        assert "1 items that ingest" in balance_of_data(data(99), REPORTED, elsewhere, deletes=False).problem

"""The ledger: fetched = acknowledged = stored + dead-lettered + in flight, for each run.

Twice, by two ways that share nothing: quickly from what ingest and stream said of themselves (`penstock.store.Counts`),
and deeply from the data, where every message is compared with its row, value by value.
"""

from penstock.ledger.account import Account
from penstock.ledger.data import Ledger, difference
from penstock.ledger.reconcile import (
    Balance,
    account,
    newest,
    properties_of_the_table,
    reconcile,
    reconcile_deeply,
    wait_until_balanced,
    wait_until_settled,
)

__all__ = [
    "Account",
    "Balance",
    "Ledger",
    "account",
    "difference",
    "newest",
    "properties_of_the_table",
    "reconcile",
    "reconcile_deeply",
    "wait_until_balanced",
    "wait_until_settled",
]

"""The ledger: fetched = acknowledged = stored + dead-lettered + in flight, for each run.

Twice, by two ways that share nothing: quickly from the counts that ingest and stream reported
(`penstock.cassandra.Counts`), and deeply from the data, where every message is compared with its row, value by value.
"""

from penstock.audit.ledger.account import Account
from penstock.audit.ledger.data import Ledger
from penstock.audit.ledger.difference import difference
from penstock.audit.ledger.proof import Proof, Prove
from penstock.audit.ledger.reconcile import (
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
    "Proof",
    "Prove",
    "account",
    "difference",
    "newest",
    "properties_of_the_table",
    "reconcile",
    "reconcile_deeply",
    "wait_until_balanced",
    "wait_until_settled",
]

"""Accounts for every record: the ledger of runs, the dead letters, the trace of a single record, and the overview.

Reads what the other packages have written to Kafka and Cassandra. Publishes only to replay or dismiss dead letters.
How the results are shown is in `views`.
"""

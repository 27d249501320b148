"""Penstock carries records from an HTTP API into Cassandra, and accounts for every one of them.

    users API ──► source ──► record ──► broker ───────► stream ──► transform ──► store
     (HTTP)        └───── ingest ─────┘  Kafka topic     Spark      good │        Cassandra table
                      (Airflow task)                                bad └──────► broker: dead letters

`users` declares the pipeline, `contract` derives every form of it, `ledger` tells whether what went in came out, and
`services` runs the real servers on one machine.
"""

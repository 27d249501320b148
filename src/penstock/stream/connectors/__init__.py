"""Spark's two connectors: every option by which Spark reads and writes Kafka, and by which it writes Cassandra.

What is read and written, and in which order, is in `stream.batches`.
"""

"""The servers of the local stack, one file each: how it is configured, started, and asked whether it is ready.

`stack` puts them together. What starts and watches processes is in `launcher`; what speaks to a server for the sake of
the pipeline's records is in `kafka`, `cassandra`, `stream` and `airflow`.
"""

"""The command `airflow`, quicker to start and to end: `python -m penstock.servers.airflow_component scheduler …`.

Measured on 2 cores: garbage collection while Airflow loads is a fifth of the start (4.1 -> 3.1 CPU seconds for the
api-server, 2.0 -> 1.6 for each other), and taking the loaded modules apart at the end costs the api-server 1.8 s.
See docs/decisions/061-four-airflow-processes.md.
"""

import gc
import logging
import os
import sys

# Collections of the youngest objects come with every 700 of them by default; loading makes millions that all stay.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def main() -> None:
    """Runs `airflow` with this process's arguments; a failure leaves by the usual way, with its exit code."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 50, 50)
    from airflow.__main__ import main as airflow

    try:
        airflow()  # type: ignore[no-untyped-call] # Airflow leaves it untyped
    except SystemExit as end:  # how the api-server answers SIGTERM
        if end.code:
            raise
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

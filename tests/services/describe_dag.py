"""Loads the DAG file as the dag-processor does, and says what it found as JSON. For test_dag.py."""

import json
import sys
from datetime import UTC, datetime

from airflow.dag_processing.dagbag import DagBag  # noqa: TID253 - this process is an Airflow
from airflow.serialization.serialized_objects import DagSerialization  # noqa: TID253

from penstock.errors import BrokerError, ConfigError, ContractError, RejectedError, TopicError

before = set(sys.modules)
bag = DagBag(dag_folder=sys.argv[1])
dag, *_ = bag.dags.values()
task = next(task for task in dag.tasks if task.task_id in ("streaming_task", "ingest"))
# As the scheduler has it; a backfill of November makes these runs.
scheduled = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
november = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)
runs = list(scheduled.iter_dagrun_infos_between(*november))
found = {
    "intervals": [[moment.isoformat() for moment in run.data_interval] for run in runs],
    "errors": bag.import_errors,
    "dags": list(bag.dags),
    "tasks": dag.task_ids,
    "then": sorted(task.downstream_task_ids),
    "schedule": dag.schedule if isinstance(dag.schedule, str) else repr(dag.timetable),
    "active": dag.max_active_runs,
    "before": sorted(task.upstream_task_ids),
    "patience_s": {each.task_id: each.timeout for each in dag.tasks if hasattr(each, "poke_interval")},
    "catchup": dag.catchup,
    "start": dag.start_date.isoformat(),
    "owner": task.owner,
    "callable": task.python_callable.__name__,
    "params": dict(dag.params),
    "retries": task.retries,
    "after": {
        type(error).__name__: [task.retry_policy.evaluate(error, 1, task.retries).action.value for task in dag.tasks]
        for error in (
            ConfigError("why"),
            ContractError("why"),
            TopicError("t", "why", "how"),
            RejectedError("r", 2, 2, 0.5, "why"),
            BrokerError("why"),
        )
    },
    "imported": sorted({name.split(".")[0] for name in set(sys.modules) - before}),
}
sys.stdout.write("\n" + json.dumps(found))

"""The overview in the terminal: for each pipeline the sentence, then its parts in the order in which records pass."""

from collections.abc import Iterator
from datetime import datetime

from rich import box
from rich.table import Table
from rich.text import Text

from penstock.audit.overview import Overview, PipelinePart, RunPart, Server, State, called, lasting
from penstock.views.console import cut, out, plain

_COLOURS = {
    State.IDLE: "green",
    State.FLOWING: "cyan",
    State.WARNING: "yellow",
    State.BROKEN: "red",
    State.ABSENT: "dim",
}
_OF_RUNS = {"balances": "green", "arriving": "cyan", "does not balance": "red"}
_RUNS = 10


def show_overview(seen: Overview) -> None:
    """All pipelines, one below the other."""
    for pipeline in seen.pipelines:
        out.print(Text(f"{pipeline.name}: {plain(pipeline.sentence)}", style=_COLOURS[pipeline.state]), soft_wrap=True)
        if pipeline.state is not State.ABSENT:
            for name, text in _parts(pipeline, seen.at):
                out.print(f"  {name:14}{plain(cut(text))}", markup=False, soft_wrap=True)
            if pipeline.runs:
                out.print(_runs(pipeline.runs))


def _parts(pipeline: PipelinePart, at: datetime) -> Iterator[tuple[str, str]]:
    yield "API", _joined(pipeline.source.url, _ago("fetched", pipeline.source.fetched_at, at))
    yield "Airflow", _airflow(pipeline, at)
    yield "Kafka", _kafka(pipeline, at)
    yield "Spark", _spark(pipeline, at)
    cassandra = pipeline.cassandra
    stored = "" if cassandra.stored is None else f"{cassandra.stored:,} items of the runs below are rows"
    yield "Cassandra", _joined(_standing(cassandra, at), cassandra.table, stored)
    yield "dead letters", _letters(pipeline)


def _airflow(pipeline: PipelinePart, at: datetime) -> str:
    airflow, newest = pipeline.airflow, pipeline.airflow.newest
    last = f"{called(newest.run)} {newest.state}" if newest else ""
    ahead = airflow.next_run_at
    plan = "paused" if airflow.paused else f"next run in {lasting(ahead - at)}" if ahead else ""
    unhealthy = f"unhealthy: {', '.join(airflow.unhealthy)}" if airflow.unhealthy else ""
    return _joined(_standing(airflow, at), airflow.dag, unhealthy, last, plan)


def _kafka(pipeline: PipelinePart, at: datetime) -> str:
    kafka = pipeline.kafka
    if not kafka.partitions:
        return _joined(_standing(kafka, at), kafka.topic, "no such topic yet" if kafka.answers else "")
    waiting = "it is not known what waits" if kafka.waiting is None else f"{kafka.waiting:,} wait"
    oldest = f"the oldest for {lasting(at - kafka.oldest_at)}" if kafka.oldest_at else ""
    each = [f"{part.number}: {part.waiting:,}" for part in kafka.partitions if part.waiting]
    by_partition = f"by partition {', '.join(each)}" if each else ""
    return _joined(_standing(kafka, at), kafka.topic, waiting, oldest, by_partition)


def _spark(pipeline: PipelinePart, at: datetime) -> str:
    stream = pipeline.stream
    batch = "" if stream.batch is None else _ago(f"batch {stream.batch} counted", stream.batch_at, at)
    took = "" if stream.batch_s is None else f"the last one took {stream.batch_s:.2f} s"
    rate = f"{stream.rows_per_s:,.0f} rows/s" if stream.rows_per_s else ""
    return _joined(_standing(stream, at), batch, took, rate)


def _letters(pipeline: PipelinePart) -> str:
    letters = pipeline.letters
    total = "" if letters.dead_lettered is None else f"{letters.dead_lettered:,}"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in letters.by_reason.items())
    return _joined(total, f"open among the newest {letters.newest:,}: {reasons}" if reasons else "", letters.topic)


def _standing(server: Server, at: datetime) -> str:
    since = f" for {lasting(at - server.since)}" if server.since else ""
    word = str(server.standing) if server.standing != "absent" else "not started"
    phase = f" ({server.phase})" if server.phase and server.phase not in ("ready", "stopped") else ""
    return f"{word}{since}{phase}"


def _runs(runs: tuple[RunPart, ...]) -> Table:
    left = f"{len(runs) - _RUNS} more: penstock reconcile" if len(runs) > _RUNS else None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=left, caption_justify="left")
    table.add_column("run", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("account", overflow="fold")
    for run in runs[:_RUNS]:
        style = _OF_RUNS.get(run.state, "yellow")
        name = plain(cut(run.run)) or "messages of no run"
        table.add_row(Text(name), Text(run.state, style=style), Text(plain(run.problem or run.equation)))
    return table


def _ago(what: str, moment: datetime | None, at: datetime) -> str:
    return f"{what} {lasting(at - moment)} ago" if moment else ""


def _joined(*texts: str) -> str:
    return "; ".join(filter(None, texts))

"""One sentence that says the state of a pipeline, what matters most first."""

from collections.abc import Callable
from datetime import datetime, timedelta

from penstock.audit.overview.picture import PipelinePart, RunPart, Server, Standing, State
from penstock.audit.overview.words import called, counted, lasting, listed, upper

_LOST, _ARRIVING = "does not balance", "arriving"

Told = tuple[State, str] | None


def tell(picture: PipelinePart, at: datetime) -> tuple[State, str]:
    """State and sentence: those of the first rule that has something to say."""
    found = next(filter(None, (rule(picture, at) for rule in _RULES)), None)
    return found or (State.IDLE, _idle(picture, at))


def _nothing_runs(picture: PipelinePart, _: datetime) -> Told:
    servers = (picture.kafka, picture.cassandra, picture.stream, picture.airflow)
    if any(server.standing is not Standing.ABSENT for server in servers):
        return None
    return State.ABSENT, "Nothing runs here. `penstock up` starts it, `penstock doctor` says whether it could."


def _not_carried(picture: PipelinePart, at: datetime) -> Told:
    """The stream runs, and has given up this pipeline alone, or attempts it again."""
    if not picture.stream.failure or picture.kafka.is_ill or picture.cassandra.is_ill:
        return None
    what = f"the stream does not carry this pipeline: {picture.stream.failure.rstrip('.')}"
    return State.BROKEN, _sentence(what, _waiting(picture, at), _safe(picture))


def _servers_of_data(picture: PipelinePart, at: datetime) -> Told:
    """Without one of these no record arrives."""
    named = {"Kafka": picture.kafka, "Cassandra": picture.cassandra, "the stream": picture.stream}
    ill = {name: server for name, server in named.items() if server.is_ill}
    if not ill:
        return None
    silent = any(server.standing is Standing.SILENT for server in ill.values())
    clauses = [*_each(ill, at), _waiting(picture, at), *([_safe(picture)] if silent else [])]
    return State.BROKEN if silent else State.WARNING, _sentence(*clauses)


def _missing(picture: PipelinePart, at: datetime) -> Told:
    broken = [run for run in picture.runs if run.state == _LOST]
    if not broken:
        return None
    more = [f"nor do {counted(len(broken) - 1, 'other run')}"] if len(broken) > 1 else []
    look = "`penstock reconcile --deep` shows which"
    clauses = (f"{called(broken[0].run)} does not balance: {broken[0].problem}", *more, look)
    return State.BROKEN, _sentence(*clauses, _waiting(picture, at))


def _deleted_unread(picture: PipelinePart, _: datetime) -> Told:
    if not (count := picture.kafka.deleted_unread):
        return None
    what = f"Kafka has deleted {counted(count, 'offset')} of {picture.kafka.topic} before the stream passed them"
    return State.BROKEN, _sentence(what, "run those intervals again, and give the topic a longer retention")


def _standstill(picture: PipelinePart, at: datetime) -> Told:
    still = [part for part in picture.kafka.partitions if part.stands_still(at)]
    if not still:
        return None
    names = listed([str(part.number) for part in still])
    longest = lasting(max(at - part.still_since for part in still if part.still_since))
    waiting = counted(sum(part.waiting or 0 for part in still), "record")
    where = f"partition{'s' if len(still) > 1 else ''} {names}"
    what = f"the stream answers, but has taken nothing of {where} for {longest}: {waiting} wait there"
    return State.BROKEN, _sentence(what, _safe(picture), "`penstock logs stream` says what it does")


def _failed_run(picture: PipelinePart, at: datetime) -> Told:
    newest = picture.airflow.newest
    if newest is None or newest.state != "failed":
        return None
    ended = f" {lasting(at - newest.ended_at)} ago" if newest.ended_at else ""
    what = f"{called(newest.run)} failed in Airflow{ended}"
    return State.WARNING, _sentence(what, *_flow(picture, at), "run again, it asks for the same and changes nothing")


def _without_airflow(picture: PipelinePart, at: datetime) -> Told:
    airflow = picture.airflow
    if airflow.standing is Standing.SILENT:
        what = _each({"Airflow": airflow}, at)
    elif airflow.unhealthy:
        what = [
            f"Airflow says that its {listed(airflow.unhealthy)} {'is' if len(airflow.unhealthy) == 1 else 'are'} ill"
        ]
    else:
        return None
    return State.WARNING, _sentence(*what, "no run begins", *_flow(picture, at))


def _flowing(picture: PipelinePart, at: datetime) -> Told:
    arriving = bool(_arriving(picture)) or bool(picture.kafka.waiting)
    running = picture.airflow.newest and picture.airflow.newest.state in ("running", "queued")
    if not arriving and not running:
        return None
    begun = []
    if running and not arriving and picture.airflow.newest:
        begun = [f"{called(picture.airflow.newest.run)} is {picture.airflow.newest.state} in Airflow"]
    return State.FLOWING, _sentence(*begun, *_flow(picture, at), _safe(picture))


_RULES: tuple[Callable[[PipelinePart, datetime], Told], ...] = (
    _nothing_runs,
    _not_carried,
    _servers_of_data,
    _missing,
    _deleted_unread,
    _standstill,
    _without_airflow,
    _failed_run,
    _flowing,
)


def _idle(picture: PipelinePart, at: datetime) -> str:
    if not picture.runs:
        return _sentence("nothing has been fetched yet", _next(picture, at))
    open_letters = picture.letters.dead_lettered or 0
    letters = f"{counted(open_letters, 'is a dead letter', 'are dead letters')}" if open_letters else ""
    rows = counted(picture.cassandra.stored or 0, "item is a row", "items are rows")
    runs = f"of {counted(len(picture.runs), 'run')}, {rows}"
    return _sentence(f"nothing is on its way, and nothing is missing: {runs}", letters, _next(picture, at))


def _next(picture: PipelinePart, at: datetime) -> str:
    airflow = picture.airflow
    if airflow.paused:
        return f"the DAG {airflow.dag} is paused in Airflow"
    if airflow.next_run_at is None:
        return ""
    ahead = airflow.next_run_at - at
    return f"the next run begins in {lasting(ahead)}" if ahead > timedelta(0) else "the next run is due"


def _flow(picture: PipelinePart, at: datetime) -> list[str]:
    arriving = _arriving(picture)
    return [*([_arrive(arriving)] if arriving else []), _waiting(picture, at)]


def _arriving(picture: PipelinePart) -> list[RunPart]:
    return [run for run in picture.runs if run.state == _ARRIVING]


def _arrive(runs: list[RunPart]) -> str:
    who = f"{called(runs[0].run)} is" if len(runs) == 1 else f"{len(runs)} runs are"
    fetched = [run.fetched for run in runs if run.fetched is not None]
    of = f" of {sum(fetched):,}" if len(fetched) == len(runs) else ""
    rejected = sum(run.dead_lettered for run in runs)
    letters = f", {counted(rejected, 'is a dead letter', 'are dead letters')}" if rejected else ""
    return f"{who} arriving: {sum(run.stored for run in runs):,}{of} are rows{letters}"


def _waiting(picture: PipelinePart, at: datetime) -> str:
    waiting, kafka = picture.kafka.waiting, picture.kafka
    if not kafka.answers:
        return ""
    if waiting is None:
        return "how many records wait in Kafka is not known without the counts"
    if not waiting:
        return "nothing waits in Kafka"
    oldest = f", the oldest for {lasting(at - kafka.oldest_at)}" if kafka.oldest_at else ""
    return f"{counted(waiting, 'record waits', 'records wait')} in Kafka{oldest}"


def _safe(picture: PipelinePart) -> str:
    """Only what can be seen: nothing unread was deleted, and no run lacks a record."""
    seen = picture.kafka.answers and picture.kafka.waiting is not None
    whole = not picture.kafka.deleted_unread and not any(run.lost for run in picture.runs)
    return "nothing is lost" if seen and whole else ""


def _each(ill: dict[str, Server], at: datetime) -> list[str]:
    """The servers with what is wrong; those with the same in one clause."""
    by_word: dict[str, list[str]] = {}
    for name, server in ill.items():
        by_word.setdefault(_word(server, at), []).append(name)
    return [f"{listed(names)} {_plural(word, len(names))}" for word, names in by_word.items()]


def _word(server: Server, at: datetime) -> str:
    if server.standing is Standing.ABSENT:
        return "is not started"
    if server.phase in ("starting", "restarting", "stopping", "waiting"):
        return f"is {server.phase}" if server.phase != "waiting" else "is about to start"
    if server.since and at - server.since >= timedelta(seconds=1):
        return f"has not answered for {lasting(at - server.since)}"
    return "does not answer"


def _plural(word: str, count: int) -> str:
    first, _, rest = word.partition(" ")
    return word if count == 1 else f"{ {'is': 'are', 'has': 'have', 'does': 'do'}[first] } {rest}"


def _sentence(*clauses: str) -> str:
    return upper("; ".join(filter(None, clauses)).rstrip(".")) + "."

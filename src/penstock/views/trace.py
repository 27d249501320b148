"""Where one record is."""

from penstock.audit.letters.index import SHORT
from penstock.audit.trace import Occurrence, Trace, written
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.identity import key_of_row, key_text
from penstock.views.console import cut, err, out, plain
from penstock.views.letters import letters_table

_EFFECT = {"clear": "cleared", "keep": "left as they are"}


def show_trace(found: Trace, pipeline: Pipeline) -> None:
    """Prints the trace of a record, in the order in which it passed the systems."""
    if found.older_messages:
        out.print(f"{found.older_messages} older messages are left out", markup=False)
    for message in found.messages:
        _show_message(message, pipeline)
    for row in found.rows:
        key = plain(cut(key_text(key_of_row(pipeline, row.values))))
        out.print(f"row {key} of {pipeline.keyspace}.{pipeline.table}", markup=False, soft_wrap=True)
        for name, value in row.values.items():
            if value is not None and name not in pipeline.keys.names:
                out.print(f"  {name:24} {plain(cut(str(value)))}", markup=False, soft_wrap=True)
        for at, columns in written(row).items():
            out.print(f"  written {at.isoformat()}     {', '.join(columns)}", markup=False, soft_wrap=True)
    if not found.rows:
        why = ": it is past its TTL, and expired if it was ever stored" if found.expired else ""
        out.print(f"no row{why}", markup=False)
    for each in found.properties:
        out.print(f"table {pipeline.keyspace}.{pipeline.table}: {each}", markup=False, soft_wrap=True)
    if found.letters:
        out.print(letters_table(found.letters, len(found.letters)))
    if found.older_letters:
        out.print(f"{found.older_letters} older dead letters are left out", markup=False)
    err.print(f"searched: {found.searched}", markup=False, soft_wrap=True)


def _show_message(message: Occurrence, pipeline: Pipeline) -> None:
    fetched = [f"run {message.run}" if message.run else "no run", f"item {message.item}" if message.item else "no item"]
    batch = "unknown" if message.batch is None else str(message.batch)
    lines = [
        f"message {pipeline.topic}/{message.partition}/{message.offset} of {message.sent.isoformat()}",
        f"  {', '.join(fetched)}, batch {batch}",
        f"  {message.problem or f'record {message.key}, write time {message.write_time.isoformat()}'}",
        *_effects(message, pipeline),
        *([f"  replays dead letter {message.replays[:SHORT]}"] if message.replays else []),
    ]
    for line in lines:
        out.print(plain(cut(line)), markup=False, soft_wrap=True)


def _effects(message: Occurrence, pipeline: Pipeline) -> list[str]:
    if message.deletes:
        return ["  deleted, so its row is removed, but for what is newer"]
    return [f"  absent, so {_EFFECT[pipeline.absent]}: {', '.join(message.absent)}"] if message.absent else []

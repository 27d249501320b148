"""The former name of what declarations import. New ones write `from penstock import From, Pipeline, Record, …`."""

from penstock.pipelines.contract import From, Pipeline, Record, Schedule, Text
from penstock.source import Source

__all__ = ["From", "Pipeline", "Record", "Schedule", "Source", "Text"]

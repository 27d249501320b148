"""The former name of what declarations import. New ones write `from penstock import From, Pipeline, Record, …`."""

from penstock.pipelines.contract import From, Pipeline, Record, Schedule, Source, Text

__all__ = ["From", "Pipeline", "Record", "Schedule", "Source", "Text"]

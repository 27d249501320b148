"""The environment of the processes that we start. It is built up here, so that no other variable of the user's gets in.

See docs/decisions/176-an-environment-that-is-built-up.md.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from penstock.config.settings import Settings
from penstock.network.proxies import child_variables

_PERSON = ("HOME", "USER", "LOGNAME")
_LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"  # the one that every such system has

JVM = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_HOME", "CLASSPATH")
"""What a Java program reads."""
SPARK = ("SPARK_*", "PYSPARK_*")
HADOOP = ("HADOOP_*", "YARN_*")
LIBPQ = ("PG*",)
"""What libpq reads: psycopg2, in a process of ours too."""
_SERVERS = ("AIRFLOW_*", "_AIRFLOW_*", "KAFKA_*", "ZOO*", "CASSANDRA_*", "GUNICORN_*", "UVICORN_*", "WEB_CONCURRENCY")
_SYSTEM = ("LD_*", "DYLD_*", "MALLOC_*", "OPENSSL_*", "KRB5*", "BASH_ENV")
# An underscore follows in names that images use for themselves, such as PYTHON_VERSION.
_PYTHON = ("PYTHON[A-Z]*",)
_OURS_TOO = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"})
_HARMFUL = (*JVM, *SPARK, *HADOOP, *LIBPQ, *_SERVERS, *_SYSTEM, *_PYTHON)


def child_environment(additions: Mapping[str, str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that we start: what every process needs, then `additions`.

    Of the user's own it has where programs and files are. Locale and time zone are always the same.
    """
    environ = os.environ if environ is None else environ
    whose = {name: environ[name] for name in _PERSON if environ.get(name)}
    folder = {"TMPDIR": os.path.abspath(environ["TMPDIR"])} if environ.get("TMPDIR") else {}
    fixed = {"LANG": _LOCALE, "LC_ALL": _LOCALE, "TZ": "UTC"}
    return {"PATH": environ.get("PATH") or os.defpath, **whose, **folder, **fixed, **additions}


def pipeline_environment(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process of ours has besides when it runs the pipeline, or starts one that does.

    That is where the declaration's module is found, the way out to other machines, and whatever
    `stack.pass_environment` names. Relative folders become absolute: the process works in another folder.
    """
    environ = os.environ if environ is None else environ
    modules = {"PYTHONPATH": _absolute(environ["PYTHONPATH"])} if environ.get("PYTHONPATH") else {}
    named = {name: environ[name] for name in passed(settings) if name in environ}
    return {"PYTHONUNBUFFERED": "1", **modules, **child_variables(environ, settings.own_hosts()), **named}


def ignored(settings: Settings, environ: Mapping[str, str] | None = None) -> list[str]:
    """Names of the user's variables that would change what a server does if the server got them."""
    environ = os.environ if environ is None else environ
    kept = {*_OURS_TOO, *passed(settings)}
    return sorted(name for name in environ if _is_one_of(name, _HARMFUL) and name not in kept)


def variable(name: str) -> str | None:
    """A variable of the user's that a declaration names, such as one with a secret."""
    return os.environ.get(name)


def forget(patterns: Iterable[str], kept: Iterable[str] = ()) -> None:
    """Takes variables out of the environment of this very process, for the sake of a library that reads it."""
    wanted = tuple(patterns)
    for name in [name for name in os.environ if _is_one_of(name, wanted) and name not in kept]:
        del os.environ[name]


def passed(settings: Settings) -> tuple[str, ...]:
    """The names of the variables that the user wants to be passed on."""
    return tuple(name for part in settings.stack.pass_environment.split(",") if (name := part.strip()))


def _absolute(folders: str) -> str:
    """An empty part of a search path is the working folder."""
    return os.pathsep.join(os.path.abspath(folder) for folder in folders.split(os.pathsep))


def _is_one_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)

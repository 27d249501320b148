"""Chooses services by name, with all that they need, in an order in which they can start."""

import importlib
from collections.abc import Callable, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from penstock.config import Settings
from penstock.errors import ServiceError
from penstock.launcher.service import Service


def choose(services: Sequence[Service], names: Sequence[str] = ()) -> tuple[Service, ...]:
    """The named services with all they need, in an order in which they could start; all if none is named.

    Raises:
        ServiceError: two services share a name or a port, one needs what is not there or in the end itself, or none
            has a name that was asked for.
    """
    known = {service.name: service for service in services}
    _check_names([service.name for service in services])
    _check_ports(services)
    for service in services:
        _check_known(service.needs, known, f"service {service.name} needs")
    _check_known(names, known, "asked for")
    order = _in_order(services, known)
    wanted = set(names or known)
    for name in reversed(order):
        if name in wanted:
            wanted.update(known[name].needs)
    return tuple(known[name] for name in order if name in wanted)


def load(reference: str) -> Callable[[Settings], Sequence[Service]]:
    """The function that `module:function` names.

    Raises:
        ServiceError: there is no such module or function.
    """
    module, _, function = reference.partition(":")
    try:
        found: Callable[[Settings], Sequence[Service]] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ServiceError(f"services {reference!r} cannot be imported as module:function: {error}") from error
    return found


def _in_order(services: Sequence[Service], known: Iterable[str]) -> list[str]:
    before = {service.name: {*service.needs, *set(service.after).intersection(known)} for service in services}
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        raise ServiceError(f"services need each other in a circle: {' -> '.join(error.args[1])}") from error


def _check_known(names: Iterable[str], known: Iterable[str], who: str) -> None:
    for name in names:
        if name not in known:
            raise ServiceError(f"{who} {name!r}, which is no service. The services are {', '.join(known)}")


def _check_names(names: Sequence[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ServiceError(f"name {', '.join(sorted(twice))} stands at more than one service")


def _check_ports(services: Iterable[Service]) -> None:
    wanted: dict[tuple[str, int], list[str]] = {}
    for service in services:
        for what, port in service.ports.items():
            wanted.setdefault((service.host, port), []).append(f"{service.name} ({what})")
    for (host, port), who in wanted.items():
        if len(who) > 1:
            raise ServiceError(
                f"port {host}:{port} is wanted by {' and '.join(who)}: "
                "give one of them another, in [ports] or [spark.conf]"
            )

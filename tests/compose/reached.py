"""Attempts connections from each container of a stack to every server of it, at every address and port."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from penstock.config import Ports
from tests.compose.project import Project

HOST = "published ports"
"""What a container would reach through the machine that the engine runs on, by the address of its gateway there."""

# Runs in the container: tells the names of the targets that take a connection.
_ATTEMPT = """
import asyncio, json, sys

async def takes(host, port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 10)
    except OSError:
        return False
    writer.close()
    return True

async def main():
    targets = json.loads(sys.argv[1])
    taken = await asyncio.gather(*(takes(host, port) for _, host, port in targets))
    print(json.dumps([name for (name, _, _), one in zip(targets, taken) if one]))

asyncio.run(main())
"""


def measured(project: Project) -> dict[str, set[str]]:
    """Container -> the servers of which it reaches a port; `penstock` is one of a person's commands."""
    containers = {name: one for name, one in project.containers().items() if one["State"]["Running"]}
    ports = Ports().model_dump().values()
    servers = [(name, host, port) for name, one in containers.items() for host in _own(one) for port in ports]

    def reached(name: str, *how: str) -> set[str]:
        gateways = [(HOST, host, port) for host in _gateways(containers.get(name, {})) for port in ports]
        others = [target for target in servers if target[0] != name]
        return {*json.loads(project.compose(*how, "-c", _ATTEMPT, json.dumps(others + gateways)))}

    command = ("run", "--rm", "-T", "--entrypoint", "python", "penstock")
    with ThreadPoolExecutor() as threads:
        running = {name: threads.submit(reached, name, "exec", "-T", name, "python") for name in containers}
        running["penstock"] = threads.submit(reached, "penstock", *command)
    return {name: one.result() for name, one in running.items()}


def _own(container: Mapping[str, Any]) -> list[str]:
    return [one["IPAddress"] for one in _networks(container) if one["IPAddress"]]


def _gateways(container: Mapping[str, Any]) -> list[str]:
    return [one["Gateway"] for one in _networks(container) if one["Gateway"]]


def _networks(container: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*container.get("NetworkSettings", {}).get("Networks", {}).values()]

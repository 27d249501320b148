"""A program for `test_fault_tools`: two parts in a network of its own, and what the one hears of the other in trouble.

Prints a JSON object: trouble -> whether the answer came, and the connections that were seen.
"""

import json
import socket
import subprocess
import sys

from rig.stacks import free_ports
from tests.faults import isolation, network
from tests.faults.isolation import Parts, placed
from tests.faults.network import DROPPED, LOSSY, RESET, Link, slowed
from tests.waiting import until

_BYTES = 20_000
_SERVER = """
import socket, sys, threading
def serve(calling):
    try:
        while data := calling.recv(65536):
            calling.sendall(data)
    except OSError:
        pass
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=listening.accept()[:1], daemon=True).start()
"""
_CLIENT = """
import socket, sys
calling = None
for line in sys.stdin:
    try:
        calling = calling or socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
        calling.settimeout(2)
        calling.sendall(bytes(int(line)))
        left = int(line)
        while left:
            left -= len(calling.recv(65536)) or left
        print("heard", flush=True)
    except ConnectionError as error:
        calling = None
        print("refused", flush=True)
    except OSError as error:
        calling = None
        print("silent", flush=True)
"""


def main() -> None:
    isolation.enter("tests.services.troubled_network", [])
    [port] = free_ports(1)
    parts = Parts(["server", "client"])
    started = [
        subprocess.Popen(
            placed((sys.executable, "-c", source, str(port)), parts.folder / name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for name, source in (("server", _SERVER), ("client", _CLIENT))
    ]
    try:
        until(lambda: _listens(port), "the server does not listen")
        sys.stdout.write(json.dumps(_heard(parts, started[1])))
    finally:
        for one in started:
            one.kill()
            one.communicate()
        parts.close()


def _heard(parts: Parts, client: "subprocess.Popen[str]") -> dict[str, list[str]]:
    def ask() -> str:
        assert client.stdin
        assert client.stdout
        client.stdin.write(f"{_BYTES}\n")
        return client.stdout.readline().strip()

    found = {"before": [ask()], "links": [str(link) for link in network.look(parts).links]}
    for trouble in (slowed("2mbit"), LOSSY, DROPPED, RESET):
        with network.troubled(parts, Link("client", "server"), trouble):
            during = ask()
        found[str(trouble)] = [during, until(lambda: ask() == "heard" and "heard", f"not heard after {trouble}")]
    return found


def _listens(port: int) -> bool:
    with socket.socket() as calling:
        return calling.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()

"""The users API without the network: a real HTTP server with the wire format of randomuser.me 1.4.

`people` answers a question, `server` speaks HTTP, `faults` spoils answers on request, `plan` says which ones.

It stands for the API and so knows nothing of the pipeline: neither its declaration nor Kafka.
"""

from penstock.simulator.faults import Fault, Faults, Reply
from penstock.simulator.plan import Plan
from penstock.simulator.server import Asked, RateLimit, Simulator, serve

__all__ = ["Asked", "Fault", "Faults", "Plan", "RateLimit", "Reply", "Simulator", "serve"]

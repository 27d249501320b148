"""The users API without the network: a real HTTP server with the wire format of randomuser.me 1.4.

`people` answers a question, `server` speaks HTTP, `faults` spoils answers on request.
"""

from penstock.simulator.faults import Fault, Faults, Reply
from penstock.simulator.server import RateLimit, Simulator, serve

__all__ = ["Fault", "Faults", "RateLimit", "Reply", "Simulator", "serve"]

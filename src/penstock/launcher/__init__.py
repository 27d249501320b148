"""Starts, watches and stops the processes of a stack on this machine, whatever they are.

`control` is what commands call. It starts a `supervisor` in the background, which has one `runner` for each service and
a `watchdog` that replaces the supervisor if that is killed. What a service is stands in `service`.

The launcher knows no server: which ones there are, how each is configured and when it is ready is in `servers`.
"""

"""Run by a test, with the rights that it chooses: a Postgres killed while a child of it hangs, and started again.

Prints `started again` once the second one answers and nothing of the first one is left.
"""

import psutil

from penstock.config import Settings, read_settings
from penstock.servers.postgres import postgres
from tests.services.servers import running


def main() -> None:
    settings = read_settings()
    settings.home.mkdir(mode=0o700)
    link = settings.home.with_name("link")
    link.symlink_to(settings.home, target_is_directory=True)
    _kill_beside_a_child_that_hangs(settings.model_copy(update={"home": link}))


def _kill_beside_a_child_that_hangs(settings: Settings) -> None:
    with running(lambda each, _: postgres(each), settings) as server:
        children = psutil.Process(server.pid).children()
        children[0].suspend()  # cannot notice that its parent is gone
        server.kill()
        server.wait()
    try:
        with running(lambda each, _: postgres(each), settings):
            assert not any(child.is_running() for child in children)
    finally:
        for child in psutil.wait_procs(children, timeout=0)[1]:
            child.kill()
    print("started again")  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()

"""One rule for proxies and one for trust, in every client of ours."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from penstock.airflow import Airflow, Health
from penstock.config import Settings, pipeline_environment
from penstock.doctor import Grade, machine, of_web, web
from penstock.errors import ConfigError, NetworkError, ScheduleError, SourceUnavailableError
from penstock.network import http, proxies
from penstock.servers.probe import json_answer
from penstock.source import Interval
from penstock.source.api import Api
from penstock.source.pace import Clock
from penstock.users import USERS
from tests import servers
from tests.certificates import Authority
from tests.mirrors import served_over_tls
from tests.secured import changed

HEALTH = {"scheduler": {"status": "healthy"}}


@dataclass
class Answering:
    """A server on loopback that answers everything with Airflow's health; as a proxy too."""

    address: str = ""
    asked: list[str] = field(default_factory=list)


class Healthy(SimpleHTTPRequestHandler):
    """Answers as Airflow, of any host."""

    def do_GET(self) -> None:
        other = {"version": "3.3.2", "access_token": "t"}
        body = json.dumps(HEALTH if self.path.endswith("/health") else other).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Says nothing."""


@contextmanager
def answering() -> Iterator[Answering]:
    found = Answering()

    class Noting(Healthy):
        def parse_request(self) -> bool:
            parsed = super().parse_request()
            found.asked.append(self.path)
            return parsed

    server = ThreadingHTTPServer(("127.0.0.1", 0), Noting)
    found.address = f"http://127.0.0.1:{server.server_port}"
    with servers.answering(server):
        yield found


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of proxies and trust."""
    for name in (*proxies.PROXY_VARIABLES, *proxies.TRUST_VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def proxy(plain: pytest.MonkeyPatch) -> Iterator[Answering]:
    """A proxy that the environment names for everything."""
    with answering() as found:
        plain.setenv("http_proxy", found.address)
        plain.setenv("https_proxy", found.address)
        yield found


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def secured(authority: Authority) -> Iterator[str]:
    """Address of an Airflow with a certificate of a private authority."""
    with served_over_tls(authority, Healthy) as url:
        yield url


def get(url: str, *own_hosts: str, authority: str = "") -> int:
    with httpx.Client(transport=http.transport(own_hosts, authority)) as client:
        return client.get(url).status_code


# --- proxies ---


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.3", "localhost", "::1", "broker", "db.corp", "10.1.2.3", "x"])
def test_host_that_no_proxy_stands_before(host: str, plain: pytest.MonkeyPatch) -> None:
    plain.setenv("all_proxy", "http://proxy:3128")
    plain.setenv("no_proxy", "x, .corp,10.0.0.0/8,fe80::/10")
    assert proxies.proxy_of("http", host, ["broker"]) is None


@pytest.mark.parametrize(("scheme", "meant"), [("http", "http://one:1"), ("https", "http://two:2")])
def test_proxy_of_the_scheme_else_of_all(scheme: str, meant: str, plain: pytest.MonkeyPatch) -> None:
    plain.setenv("http_proxy", "http://one:1")
    plain.setenv("ALL_PROXY", "http://two:2")
    assert proxies.proxy_of(scheme, "api.example") == meant


def test_other_hosts_are_asked_through_the_proxy(proxy: Answering) -> None:
    assert get("http://api.example/users") == 200
    assert proxy.asked == ["http://api.example/users"]


def test_airflow_on_this_machine_is_asked_directly(proxy: Answering, settings: Settings) -> None:
    with answering() as server:
        local = changed(settings, airflow={"url": server.address, "username": "u"})
        with Airflow(local) as airflow:
            airflow.authenticate()
            assert airflow.health().parts == {"scheduler": "healthy"}
        found = {one.subject: one.grade for one in web.airflow(local)}
    assert found["airflow"] is Grade.OK
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("parts", "unhealthy"),
    [
        ({"scheduler": "healthy", "dag_processor": None}, {}),
        ({"scheduler": "unhealthy", "metadatabase": "healthy"}, {"scheduler": "unhealthy"}),
        # Of a home that once had one, Airflow says so for ever.
        ({"scheduler": "healthy", "triggerer": "unhealthy"}, {}),
    ],
)
def test_airflow_is_unhealthy_where_a_part_is_that_a_run_needs(
    parts: dict[str, str | None], unhealthy: dict[str, str]
) -> None:
    assert Health(parts, None).unhealthy == unhealthy


def test_servers_of_the_stack_are_asked_directly_whatever_their_host_is(proxy: Answering, settings: Settings) -> None:
    hosts = {"airflow": "airflow.invalid"}
    stack = changed(settings, hosts=hosts, airflow={"url": "http://airflow.invalid:8080", "username": "u"})
    with Airflow(stack, patience_s=0) as airflow, pytest.raises(ScheduleError):
        airflow.health()
    assert proxy.asked == []


def test_probe_knows_no_proxy(proxy: Answering) -> None:
    with answering() as server:
        assert json_answer(int(server.address.rpartition(":")[2]), "/")["version"] == "3.3.2"
    assert proxy.asked == []


def test_error_names_the_proxy_but_not_its_password(plain: pytest.MonkeyPatch) -> None:
    plain.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
    with pytest.raises(httpx.ConnectError, match=r"through the proxy http://127\.0\.0\.1:1") as caught:
        get("http://api.example/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["socks5://me:secret@127.0.0.1:1", "socks://127.0.0.1:1", "gopher://x"])
def test_proxy_that_cannot_be_used_hinders_only_what_needs_it(address: str, plain: pytest.MonkeyPatch) -> None:
    plain.setenv("all_proxy", address)
    with answering() as server:
        assert get(server.address) == 200
    with pytest.raises(ConfigError, match=r"http_proxy.*api\.example in no_proxy") as caught:
        get("http://api.example/")
    assert "secret" not in str(caught.value)


def test_child_reaches_this_machine_and_the_stack_directly() -> None:
    given = {"https_proxy": "http://proxy:3128", "NO_PROXY": "a.corp", "SSL_CERT_FILE": "ca.pem", "SECRET": "x"}
    exempt = "a.corp,127.0.0.1,localhost,::1,airflow,broker"
    assert proxies.child_variables(given, ["broker", "airflow"]) == {
        "https_proxy": "http://proxy:3128",
        "SSL_CERT_FILE": str(Path("ca.pem").absolute()),
        "no_proxy": exempt,
        "NO_PROXY": exempt,
    }


def test_child_without_a_proxy_is_told_of_none() -> None:
    assert proxies.child_variables({"no_proxy": "a"}) == {}


def test_child_whose_proxy_is_for_nobody() -> None:
    assert proxies.child_variables({"all_proxy": "http://p", "no_proxy": " *"})["no_proxy"] == "*"


def test_every_child_gets_the_exceptions(plain: pytest.MonkeyPatch) -> None:
    plain.setenv("http_proxy", "http://proxy:3128")
    assert "127.0.0.1" in pipeline_environment(Settings())["no_proxy"]


# --- trust ---


def test_private_authority_is_trusted_where_it_is_named(
    authority: Authority, secured: str, plain: pytest.MonkeyPatch
) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        get(secured)
    assert "SSL_CERT_FILE" in http.untrusted(caught.value)
    assert get(secured, authority=str(authority.file)) == 200
    plain.setenv("SSL_CERT_FILE", str(authority.file))
    assert get(secured) == 200


def test_certificate_of_another_address_is_not_taken_for_one_of_another_authority(authority: Authority) -> None:
    with served_over_tls(authority, Healthy, "127.0.0.2") as url, pytest.raises(httpx.ConnectError) as caught:
        get(url, authority=str(authority.file))
    assert "the address that the certificate names" in http.untrusted(caught.value)


def test_other_errors_are_none_of_trust(plain: pytest.MonkeyPatch) -> None:
    with pytest.raises(httpx.ConnectError) as caught:
        get("https://127.0.0.1:1/")
    assert http.untrusted(caught.value) == ""


def test_file_of_authorities_that_is_not_there_is_named(tmp_path: Path, plain: pytest.MonkeyPatch) -> None:
    plain.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match=r"none\.pem"):
        http.transport()


@pytest.mark.parametrize(
    ("name", "content"), [("SSL_CERT_FILE", None), ("SSL_CERT_FILE", "no certificate"), ("SSL_CERT_DIR", None)]
)
def test_run_and_doctor_say_the_same_of_authorities_that_cannot_be_used(
    name: str, content: str | None, settings: Settings, tmp_path: Path, plain: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "none.pem"
    if content:
        named.write_text(content)
    plain.setenv(name, str(named))
    with pytest.raises(NetworkError, match=rf"{name} in the environment is {re.escape(str(named))}") as caught:
        Api(USERS.source, settings.source)
    said = (caught.value.what, caught.value.remedy)
    assert "unset it to trust the system's store" in caught.value.remedy
    trust = machine.trust()
    assert (trust.grade, trust.what, trust.fix) == (Grade.FAILED, *said)
    found = {one.subject: one for one in of_web(settings, USERS)}
    assert {
        name: (found[name].grade, found[name].what, found[name].fix) for name in ("api", "airflow")
    } == dict.fromkeys(("api", "airflow"), (Grade.FAILED, *said))


@pytest.mark.parametrize("address", ["socks5://me:secret@127.0.0.1:1", "http://127.0.0.1:1"])
def test_doctor_speaks_of_the_proxy_where_that_is_what_is_wrong(
    address: str, settings: Settings, plain: pytest.MonkeyPatch
) -> None:
    plain.setenv("http_proxy", address)
    found = {
        one.subject: one for one in of_web(changed(settings, source={"urls": {"users": "http://api.invalid/"}}), USERS)
    }
    assert found["api"].grade is Grade.FAILED
    assert "api.invalid in no_proxy" in found["api"].fix
    assert "source.urls" not in found["api"].fix
    assert "secret" not in found["api"].what + found["api"].fix


@pytest.mark.usefixtures("plain")
def test_run_and_doctor_trust_the_same_airflow(authority: Authority, secured: str, settings: Settings) -> None:
    trusting = {"url": secured, "username": "u", "ssl_ca_location": str(authority.file)}
    with Airflow(changed(settings, airflow=trusting)) as airflow:
        airflow.authenticate()
        assert airflow.version() == "3.3.2"
    found = {one.subject: one.grade for one in web.airflow(changed(settings, airflow=trusting))}
    assert (found["airflow"], found["airflow credentials"]) == (Grade.OK, Grade.OK)


@pytest.mark.usefixtures("plain")
def test_run_and_doctor_refuse_the_same_airflow_at_once(secured: str, settings: Settings) -> None:
    doubtful = changed(settings, airflow={"url": secured, "username": "u"})
    with Airflow(doubtful, patience_s=3_600) as airflow, pytest.raises(ConfigError, match="SSL_CERT_FILE"):
        airflow.authenticate()
    [found] = web.airflow(doubtful)
    assert (found.grade, "airflow.ssl_ca_location" in found.fix) == (Grade.FAILED, True)


@pytest.mark.usefixtures("plain")
def test_authority_of_airflow_that_is_another_one_is_named(secured: str, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = {"url": secured, "username": "u", "ssl_ca_location": str(Authority(tmp_path / "other").file)}
    with Airflow(changed(settings, airflow=other)) as airflow, pytest.raises(ConfigError, match=r"airflow\.ssl_ca_loc"):
        airflow.health()


@pytest.mark.usefixtures("plain")
def test_api_that_is_not_trusted_is_asked_once(secured: str, settings: Settings) -> None:
    waits: list[float] = []
    with (
        Api(USERS.source, settings.source, address=secured, clock=Clock(sleep_s=waits.append)) as api,
        pytest.raises(SourceUnavailableError, match="SSL_CERT_FILE"),
    ):
        list(api.pages(Interval(datetime(2025, 3, 12, tzinfo=UTC)), 1))
    assert waits == []

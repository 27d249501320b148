"""How other machines are reached: through which proxy, and whose certificates are trusted.

Proxies are those of the environment (`http_proxy`, `https_proxy`, `all_proxy`; `no_proxy` names the exceptions), but
never for this machine and the stack's own hosts. Trusted are the authorities in `SSL_CERT_FILE` and `SSL_CERT_DIR`
where one of them is set, else those of the system's store.

Standard library only: `scripts/setup` needs these rules before a package is installed.
"""

import os
from collections.abc import Collection, Mapping
from ipaddress import ip_address, ip_network
from urllib.request import getproxies, proxy_bypass

THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
TRUST_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def proxy_of(scheme: str, host: str, own_hosts: Collection[str] = ()) -> str | None:
    """The address of the proxy that stands before `host`; None where it is reached directly."""
    if host in own_hosts or is_this_machine(host) or proxy_bypass(host) or _is_in_exempt_network(host):
        return None
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all")


def is_this_machine(host: str) -> bool:
    """Whether the host is a loopback address, or `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def trusted(environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """File and folder of the trusted authorities that the environment names; both are empty for the system's store."""
    file, folder = (environ.get(name, "") for name in TRUST_VARIABLES)
    return file, folder


def child_variables(environ: Mapping[str, str], own_hosts: Collection[str] = ()) -> dict[str, str]:
    """The variables by which a child process keeps to the same rules: proxies with their exceptions, and trust.

    Files are absolute, as a child works in another folder. Without a proxy there is no `no_proxy`: alone it would
    disable the proxies of macOS's settings.
    """
    trust = {name: _absolute(environ[name]) for name in TRUST_VARIABLES if environ.get(name)}
    proxies = {name: environ[name] for name in PROXY_VARIABLES if environ.get(name)}
    if not proxies:
        return trust
    named = [part.strip() for part in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(",")]
    if named != ["*"]:  # with anything beside it the star is a name like any other
        named = [*filter(None, dict.fromkeys([*named, *THIS_MACHINE, *sorted(own_hosts)]))]
    return {**trust, **proxies, "no_proxy": ",".join(named), "NO_PROXY": ",".join(named)}


def _absolute(paths: str) -> str:
    return os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep))


def _is_in_exempt_network(host: str) -> bool:
    """Whether `no_proxy` names a network of addresses that holds the host; `proxy_bypass` knows names only."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(_holds(each.strip(), address) for each in getproxies().get("no", "").split(","))


def _holds(network: str, address: object) -> bool:
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False

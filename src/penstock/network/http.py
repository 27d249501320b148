"""The one way over HTTP: every client of ours has this transport, and so the same proxies and the same trust."""

import ssl
from collections.abc import Collection
from threading import Lock

import httpx

from penstock.errors import NetworkError
from penstock.network import proxies, tls
from penstock.urls import shown

_PUT_INTO_STORE = (
    "Put the authority that signed it into the system's store (on Debian a .crt file in "
    "/usr/local/share/ca-certificates, then update-ca-certificates), or name its file: SSL_CERT_FILE"
)


_OTHER_CERTIFICATE = "Give the address that the certificate names, or have the server's certificate renewed"
# X509_V_ERR_CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH: no authority would help.
_NOT_ABOUT_AUTHORITIES = frozenset({10, 62, 64})


def transport(own_hosts: Collection[str] = (), authority: str = "") -> httpx.BaseTransport:
    """A transport by the rules of `penstock.network.proxies`; may be used by several threads.

    With an `authority`, the file of one, only what that one signed is trusted.

    Raises:
        ConfigError: the file cannot be read.
        NetworkError: the environment's authorities cannot be used. Later, at a request: its proxy cannot.
    """
    return _made(own_hosts, authority)


def check_way(scheme: str, host: str, own_hosts: Collection[str] = (), authority: str = "") -> None:
    """Raises what a request to `host` would for the environment's proxy and authorities; asks nobody."""
    made = _made(own_hosts, authority)
    made.connecting(httpx.URL(scheme=scheme, host=host), proxies.proxy_of(scheme, host, own_hosts)).close()


def _made(own_hosts: Collection[str], authority: str) -> "_Transport":
    return _Transport(own_hosts, tls.client_context(authority, None, verify_hostname=True))


def untrusted(error: BaseException, authority_setting: str = "") -> str:
    """The remedy where an error of httpx means a certificate that is not trusted; empty for every other error.

    `authority_setting` is the setting that named the authority, if one did. Asking again changes nothing here.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _NOT_ABOUT_AUTHORITIES:
                return _OTHER_CERTIFICATE
            return f"Is {authority_setting} the authority that signed it?" if authority_setting else _PUT_INTO_STORE
        cause = cause.__cause__ or cause.__context__
    return ""


class _Transport(httpx.BaseTransport):
    def __init__(self, own_hosts: Collection[str], context: ssl.SSLContext) -> None:
        self._own_hosts = own_hosts
        self._context = context
        self._by_proxy: dict[str | None, httpx.HTTPTransport] = {}
        self._lock = Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        proxy = proxies.proxy_of(request.url.scheme, request.url.host, self._own_hosts)
        with self._lock:
            chosen = self._by_proxy.get(proxy) or self._by_proxy.setdefault(proxy, self.connecting(request.url, proxy))
        try:
            return chosen.handle_request(request)
        except httpx.TransportError as error:
            if proxy is None:
                raise
            raise type(error)(f"through the proxy {shown(proxy)}: {error}") from error

    def close(self) -> None:
        for each in self._by_proxy.values():
            each.close()

    def connecting(self, url: httpx.URL, proxy: str | None) -> httpx.HTTPTransport:
        if proxy is None:
            return httpx.HTTPTransport(verify=self._context)
        try:
            address = httpx.URL(proxy if "://" in proxy else f"http://{proxy}")
            # One that is spoken to over TLS is trusted by the same rule.
            secured = self._context if address.scheme == "https" else None
            return httpx.HTTPTransport(verify=self._context, proxy=httpx.Proxy(address, ssl_context=secured))
        except (httpx.InvalidURL, ValueError, ImportError):  # the last one is what httpx raises for SOCKS
            raise NetworkError(
                f"the environment names {shown(proxy)} as the proxy for {url.scheme}://{url.host}; it cannot be used",
                f"Name one that begins with http:// or https:// ({url.scheme}_proxy), or {url.host} in no_proxy",
            ) from None

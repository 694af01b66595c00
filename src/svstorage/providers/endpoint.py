"""The endpoint of a network service, read from the settings by one set of rules.

Shared by the S3 and Azure providers (and free for plugins): contract section 1, the rules of
``STORAGE_ENDPOINT``, ``STORAGE_PORT``, ``STORAGE_USE_SSL`` and ``STORAGE_CA_BUNDLE``; and
``STORAGE_PROXY``.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from svstorage.settings import Secret

if TYPE_CHECKING:
    from svstorage.settings import Settings

ENDPOINT = "STORAGE_ENDPOINT"
PORT = "STORAGE_PORT"
USE_SSL = "STORAGE_USE_SSL"
CA_BUNDLE = "STORAGE_CA_BUNDLE"
INSECURE = "STORAGE_INSECURE"
PROXY = "STORAGE_PROXY"

_DEFAULT_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?\Z")

# Names under these never leave the local network: RFC 6761, RFC 6762, RFC 8375, ICANN's
# reserved ``internal``, and the names that cluster and home routers give out.
_PRIVATE_SUFFIXES = (
    ".localhost",
    ".local",
    ".internal",
    ".lan",
    ".home.arpa",
    ".test",
    ".svc",
    ".intranet",
)
# Where clouds answer with the machine's own credentials; no storage lives there, and a setting
# that points there would send our requests to it (SSRF).
_METADATA_HOSTS = frozenset(
    {"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
)
_METADATA_ADDRESSES = frozenset({"fd00:ec2::254", "fd00:ec2::23", "100.100.100.200"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Scheme, host and port of a service; ``path`` has no slash at its end, "" is the root."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def netloc(self) -> str:
        """``host`` or ``host:port``, the latter where the port is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"

    @property
    def is_address(self) -> bool:
        """True where the host is an IP address."""
        return _address(self.host) is not None

    @property
    def is_private(self) -> bool:
        """True where the host is on this machine or in a private network, judged by its name.

        No name is resolved. A name without a dot is one of a local network (compose and cluster
        services).
        """
        address = _address(self.host)
        if address is not None:
            return address.is_private or address.is_loopback
        name = self.host.rstrip(".")
        return "." not in name or name.endswith(_PRIVATE_SUFFIXES)


def parse_endpoint(settings: Settings, default: str | None = None) -> Endpoint:
    """The endpoint that the settings name, or ``default`` (in any form the setting may have).

    Raises `SettingsError` for a missing, malformed or contradictory endpoint, for plain http to
    a host that is neither on this machine nor in a private network unless
    ``STORAGE_INSECURE=true``, and for the addresses of metadata services.
    """
    given = settings.text(ENDPOINT)
    text = given if given is not None else default
    if text is None:
        text = settings.required_text(ENDPOINT)
    scheme, host, own_port, path = _split(settings, text.strip())
    _refuse_metadata(settings, host)

    port = settings.port(PORT)
    if port is not None and given is not None and own_port is not None and own_port != port:
        raise settings.error(
            PORT,
            f"the value is {port} but {ENDPOINT} names port {own_port}",
            "Leave one of the two out",
        )
    port = port if port is not None else own_port

    if USE_SSL in settings:
        tls = settings.boolean(USE_SSL, True)
        # A default endpoint's own scheme is nobody's word: it yields.
        if given is not None and scheme is not None and tls != (scheme == "https"):
            raise settings.error(
                USE_SSL,
                f"the value contradicts {scheme}:// in {ENDPOINT}",
                "Correct or leave out one of the two",
            )
        scheme = "https" if tls else "http"
    elif scheme is None or (given is None and port is not None):
        scheme = "https" if port in (None, 443) else "http"

    if port is None:
        port = _DEFAULT_PORTS[scheme]
    if (scheme, port) in (("http", 443), ("https", 80)):
        raise settings.error(
            PORT if PORT in settings else ENDPOINT,
            f"port {port} does not go with {scheme}",
            "443 is for https, 80 for http: correct the port, the scheme or STORAGE_USE_SSL",
        )
    endpoint = Endpoint(scheme, host, port, path)
    if not endpoint.tls and not endpoint.is_private and not settings.boolean(INSECURE, False):
        raise settings.error(
            ENDPOINT,
            f"without TLS the data would cross the network to {host} for all to read",
            f"Use https (STORAGE_USE_SSL=true), or set {INSECURE}=true if that network is safe",
        )
    return endpoint


def ca_bundle(settings: Settings) -> Path | None:
    """The file of ``STORAGE_CA_BUNDLE``, which must hold certificates in PEM form."""
    path = settings.path(CA_BUNDLE)
    if path is None:
        return None
    problem = None
    try:
        if not path.is_file():
            problem = "there is no such file"
        elif b"-----BEGIN " not in path.read_bytes():
            problem = "the file holds no certificate in PEM form"
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror}"
    if problem:
        raise settings.error(CA_BUNDLE, problem, "Name a PEM file of certificates")
    return path


def proxy(settings: Settings, endpoint: Endpoint) -> Secret | None:
    """The URL of the HTTP proxy that ``STORAGE_PROXY`` names, or None; it may hold a password.

    ``env`` takes the machine's own (``HTTPS_PROXY``, ``NO_PROXY``); unset means none, so that no
    variable of the environment leads our requests astray.
    """
    value = (settings.text(PROXY) or "none").strip()
    if value.lower() == "none":
        return None
    if value.lower() == "env":
        from urllib.request import getproxies, proxy_bypass

        found = getproxies().get("https") if endpoint.tls else None
        if not found or endpoint.host == "localhost" or proxy_bypass(endpoint.host):
            return None
        value = found
    elif not endpoint.tls:
        # A proxy reads plain requests, and normalises the paths that are keys here.
        raise settings.error(PROXY, "only TLS connections go through a proxy", "Use https")
    good = False
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        pass
    if not good:
        raise settings.error(PROXY, "it is not the URL of an HTTP proxy", "Write http://host:port")
    return Secret(value)


def _split(settings: Settings, text: str) -> tuple[str | None, str, int | None, str]:
    mend = "Write host, host:port, or http(s)://host:port"
    if not text.isascii() or any(c.isspace() for c in text) or "\\" in text:
        raise settings.error(ENDPOINT, "the value has characters that no address has", mend)
    scheme: str | None = None
    rest = text
    if "://" in text:
        word, rest = text.split("://", 1)
        scheme = word.lower()
        if scheme not in _DEFAULT_PORTS:
            raise settings.error(ENDPOINT, "the scheme is neither http nor https", mend)
    if "?" in rest or "#" in rest:
        raise settings.error(
            ENDPOINT,
            "the value has a query",
            "End the URL before the ?; a shared access signature goes to STORAGE_SAS_TOKEN",
        )
    if "@" in rest:
        # Never shown: what stands before the @ is a password.
        raise settings.error(
            ENDPOINT, "the value has a user name", "Put the keys into variables of their own"
        )
    port: int | None = None
    host = ""
    path = ""
    bad = False
    try:
        parts = urlsplit(f"//{rest}")
        host, port, path = (parts.hostname or "").lower(), parts.port, parts.path
    except ValueError:
        bad = True
    if bad or (port is not None and port < 1):
        raise settings.error(ENDPOINT, "the host or port cannot be read", mend)
    if not (_HOST.match(host) or _address(host) is not None):
        raise settings.error(ENDPOINT, "there is no valid host name in the value", mend)
    if _is_odd_address(host):
        raise settings.error(
            ENDPOINT, "it is an IP address in an unusual form", "Write four numbers from 0 to 255"
        )
    path = path.rstrip("/")
    if "//" in path or any(part in (".", "..") for part in path.split("/")):
        raise settings.error(ENDPOINT, "the path in the value cannot be used", mend)
    return scheme, host, port, path


def _refuse_metadata(settings: Settings, host: str) -> None:
    address = _address(host)
    name = host.rstrip(".")
    if (
        name in _METADATA_HOSTS
        or (address is not None and address.is_link_local)
        or (address is not None and str(address) in _METADATA_ADDRESSES)
    ):
        raise settings.error(
            ENDPOINT,
            f"{host} is an address of instance metadata, not of a storage",
            "Name the host of the storage service",
        )


def _is_odd_address(host: str) -> bool:
    """True for ``2852039166``, ``0xa9.0xfe.1`` and the like, which resolvers take as IPv4."""
    if _address(host) is not None or not re.fullmatch(r"[0-9][0-9a-fx.]*", host):
        return False
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address

"""Proxies that the environment names: ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, as curl reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.request import getproxies_environment, proxy_bypass

from yarl import URL

from humanvlm.errors import UserError
from humanvlm.scrape.addresses import Policy


@dataclass(frozen=True)
class Proxies:
    """by_scheme: the proxy for addresses of a scheme."""

    by_scheme: Mapping[str, URL]

    def of(self, url: URL, policy: Policy) -> URL | None:
        """The proxy to ask for ``url``; None: the site itself, as always for hosts that this run serves."""
        proxy = self.by_scheme.get(url.scheme)
        host = url.raw_host or ""
        if proxy is None or policy.is_local(host):
            return None
        return None if proxy_bypass(f"{host}:{url.port}") else proxy


def proxies_of_environment() -> Proxies:
    """Raises UserError naming a variable that holds no address of an HTTP proxy."""
    named = getproxies_environment()
    return Proxies({scheme: _proxy(scheme, named[scheme]) for scheme in ("http", "https") if named.get(scheme)})


def _proxy(scheme: str, text: str) -> URL:
    try:
        url = URL(text if "://" in text else f"http://{text}")
        usable = url.scheme in ("http", "https") and bool(url.raw_host) and url.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise UserError(f"{scheme}_proxy: not the address of an HTTP proxy; set it to http://HOST:PORT, or unset it")
    return url

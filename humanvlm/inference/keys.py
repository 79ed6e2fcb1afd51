"""Who gets the key of a model's server: OpenAI's goes to OpenAI alone, and none over the open web unencrypted."""

import os
import socket
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from humanvlm.config.endpoint import Endpoint
from humanvlm.errors import UserError

OPENAI_VARIABLE, OPENAI_HOST = "OPENAI_API_KEY", "api.openai.com"


def withheld(config: Endpoint) -> bool:
    """Whether the server is another than the one that the variable's key is for."""
    host = (urlsplit(config.url).hostname or "").rstrip(".")
    openai = host == OPENAI_HOST or host.endswith(f".{OPENAI_HOST}")
    return config.key_variable == OPENAI_VARIABLE and not openai


def key_of(config: Endpoint, place: str) -> str:
    """The key to send with every request, '' for none. Raises UserError when there is one that may not be sent.

    place: what the user calls the address, such as ``SECTION.endpoint.url``."""
    key = "" if withheld(config) else os.environ.get(config.key_variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UserError(f"environment variable {config.key_variable}: no key: it holds more than printable ASCII")
    address = urlsplit(config.url)
    if key and address.scheme != "https" and not _is_near(address.hostname or ""):
        raise UserError(
            f"{place}: {config.url} would carry the key of {config.key_variable} in plain text; "
            "use https, an address of this machine or of a private network, or unset the variable"
        )
    return key


def _is_near(host: str) -> bool:
    """Whether all addresses of a host, as it resolves now, are of this machine or a private network."""
    try:
        found = {ip_address(str(entry[4][0]).partition("%")[0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    plain = {(address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address for address in found}
    return not any(address.is_global or address.is_multicast for address in plain)

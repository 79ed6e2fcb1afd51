"""Which URLs are one address: its spellings, by which a takedown of one takes all."""

import re
from ipaddress import ip_address
from urllib.parse import unquote, unquote_to_bytes

_URL = re.compile(r"https?:/{2}(?P<authority>[^/?#\\]*)(?P<path>[^?#]*)(?P<query>\??[^#]*)", re.IGNORECASE)
_LEFT_OUT = re.compile(r"[\t\r\n]")  # by browsers
USUAL = ("", "80", "443")  # ports


def spelling(url: str) -> str:
    """The one spelling of all that ask for the same picture; of what is no http(s) URL, the text itself.

    Alike are http and https, a host in any case, script and with a last dot, the ports 80 and 443, credentials or none,
    paths with and without dot segments, whatever of path and query is percent-encoded, and fragments.
    """
    text = _LEFT_OUT.sub("", url.strip())
    found = _URL.match(text)
    if not found:
        return text
    host, colon, port = found["authority"].rpartition("@")[2].rpartition(":")
    if not colon or not (port.isdecimal() or not port):
        host, port = f"{host}{colon}{port}", ""
    number = port.lstrip("0")
    query = found["query"] if found["query"] != "?" else ""
    shown = "" if number in USUAL else f":{number}"
    return f"//{host_spelling(host)}{shown}{_path(found['path'])}{_decoded(query)}"


def host_spelling(host: str) -> str:
    """A host name as DNS has it: in lower case, without the last dot, other scripts than Latin in their ASCII form."""
    host = unquote(host).lower().removesuffix(".")
    try:
        return ip_address(host.strip("[]")).compressed
    except ValueError:
        pass
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host.encode("ascii", "backslashreplace").decode()


def _path(path: str) -> str:
    segments: list[str] = []
    parts = _decoded(path.replace("\\", "/")).split("/")
    for part in parts:
        if part == "..":
            del segments[max(1, len(segments) - 1) :]
        elif part != ".":
            segments.append(part)
    if parts[-1] in (".", ".."):
        segments.append("")
    return "/".join(segments) or "/"


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogateescape")

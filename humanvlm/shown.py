"""Text as it is shown or stored: without secrets, and unable to pass for anything but text.

Errors, log lines, reports, MLflow and Dagster get what comes from outside (addresses, headers, what a server or a file
says) through here. ``masked`` hides the secrets of addresses and headers, ``one_line`` writes out what a terminal would
obey, ``markdown`` and ``fenced`` what a Markdown page would, ``shown`` is both of the first.
"""

import logging
import re
import sys
import traceback
import unicodedata
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

MASK = "***"
NESTED = 3  # times that an address may be quoted inside another one's query
NOISY = ("httpx", "httpx2", "urllib3", "alembic", "mlflow", "matplotlib", "PIL")
LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
# An authority ends where urlsplit ends it (RFC 3986, 3.2): at the first / ? or #. JSON may write \/ for a slash.
ADDRESS = re.compile(r"(\\?/\\?/)([^\s/?#\\\"<>]*)")
# Unless a password has one of these, or a space, unquoted: what follows the first colon is then no port.
ODD_PASSWORD = re.compile(
    r"(\\?/\\?/)[^\s/?#\\\"<>@:\[]+:(?!\d*(?:[\s/?#\\]|$))[^\s/?#\"<>@]+[\s/?#][^\"<>@\r\n]{0,200}@"
)
QUOTED = re.compile(r"(?i)(%2f%2f)(?:(?!%2f|%3f|%23)[^\s/?#&\"<>]){1,200}(%40)")  # an address within another
PAIR = re.compile(r"(?<=[?&#;])([^\s?&#;=\"<>]{1,200})=([^\s&#;\"<>]+)")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Names of query fields: these words, or these anywhere in the name.
SECRET_WORDS = frozenset(("auth", "code", "hmac", "jwt", "key", "pass", "pwd", "sas", "sid", "sig", "ticket"))
SECRET_PARTS = re.compile(r"(?i)token|secret|passw|signature|credential|authoriz|session|(api|access|private)[-_]?key")
# Names of settings and headers: where "key" and "token" are words of a model's, too.
SETTING_NAME = (
    r"passwo?r?d|pwd|secret(?:[-_]?key)?|(?:api|access|private)[-_]?key|(?:access|auth|hf|id|refresh|session)[-_]?token"
)
HEADER_NAME = r"(?:proxy-)?authorization|(?:set-)?cookie|x-[a-z-]{0,30}(?:key|token)"
HEADER = re.compile(rf"(?i)\b({HEADER_NAME})([\"']?\s*[:=]\s*(?:b?[\"'])?)[^\"'\r\n]+")
BEARER = re.compile(r"\b([Bb]earer|Basic)(\s+)(?=\S*[0-9=])[\w.~+/=-]{8,}")
SETTING = re.compile(
    rf"(?i)({SETTING_NAME})"
    r"(?:([\"']?\s*[:=]\s*b?[\"'])(?:\\.|[^\"'\\\r\n])+|(\s*=\s*)[^\s\"'&;]+)"
)
SETTING_KEY = re.compile(rf"(?i)[\w-]{{0,40}}(?:{SETTING_NAME})|{HEADER_NAME}")
HINTS = ("authoriz", "basic", "bearer", "cookie", "key", "pass", "pwd", "secret", "token")  # without them there is none
MARKS = ".,:!?)]}'"
JOINERS = "\u200c\u200d"  # of scripts and emoji
MARKUP = re.compile(r"[\\`*\[\]|~<>&@]|:(?=//)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\A[#+=-]")


def masked(text: str, nested: int = NESTED) -> str:
    """The text with *** for what only its owner should know: user and password of addresses, tokens and signatures in
    their queries and fragments (and in addresses quoted there), credentials in headers and settings."""
    if "/" in text:
        text = ADDRESS.sub(_address, ODD_PASSWORD.sub(rf"\1{MASK}@", text))
    if "%" in text:
        text = QUOTED.sub(rf"\1{MASK}\2", text)
    if "=" in text:
        text = PAIR.sub(lambda found: _pair(found, nested), text)
    folded = text.lower()
    if not any(hint in folded for hint in HINTS):
        return text
    text = SETTING.sub(rf"\1\2\3{MASK}", HEADER.sub(rf"\1\2{MASK}", text))
    return BEARER.sub(rf"\1\2{MASK}", text)


def _address(found: re.Match[str]) -> str:
    _, at, host = found[2].rpartition("@")
    return f"{found[1]}{MASK}@{host}" if at else found[0]


def _pair(found: re.Match[str], nested: int) -> str:
    name, value = found.groups()
    if _is_secret(unquote_plus(name)):
        said = value.rstrip(MARKS)  # of the sentence that the address stands in
        return f"{name}={MASK}{value[len(said) :] if said else ''}"
    if nested and "%" in value and (hidden := masked(unquote(value), nested - 1)) != unquote(value):
        return f"{name}={quote(hidden, safe='*')}"
    return found[0]


def _is_secret(name: str) -> bool:
    return not SECRET_WORDS.isdisjoint(word.lower() for word in WORD.findall(name)) or bool(SECRET_PARTS.search(name))


def masked_values(value: Any) -> Any:
    """Nested settings with their texts masked, and what is called a password, a key or a token hidden."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {
            key: MASK if isinstance(item, str) and item and SETTING_KEY.fullmatch(str(key)) else masked_values(item)
            for key, item in value.items()
        }
    return [masked_values(item) for item in value] if isinstance(value, list | tuple) else value


def one_line(text: str) -> str:
    r"""The text with control characters, line breaks, ANSI sequences, directions of writing, and what has no shape
    written out as ``\x1b`` or ``\u202e``."""
    return text if text.isprintable() else "".join(map(_written_out, text))


def _written_out(character: str) -> str:
    if character.isprintable() or character in JOINERS or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()


def shown(text: str) -> str:
    """The text on one line, without secrets."""
    return one_line(masked(text))


def shown_lines(text: str) -> str:
    """The lines of a text, without secrets."""
    return "\n".join(map(shown, text.splitlines()))


def markdown(text: str) -> str:
    """The text as it is, in one line or table cell of a Markdown page that may hold HTML."""
    return MARKUP.sub(r"\\\g<0>", one_line(text))


def cell(value: Any, longest: int = 200) -> str:
    """A value as a cell of a Markdown table, at most so many characters of it."""
    return markdown(" ".join(str(value).split())[:longest])


def fenced(lines: Iterable[str]) -> str:
    """Lines as a block of code in Markdown, which they cannot end."""
    text = "\n".join(one_line(line) for line in lines)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


class Formatter(logging.Formatter):
    """A record is one line, and its traceback lines of their own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return shown(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return shown_lines(super().formatException(ei))


def log_to_stderr(level: str = "INFO", form: str = LOG_FORMAT) -> None:
    """Log lines, by a format of ``logging``, and tracebacks of what nobody caught go to stderr as they may be shown."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(form))
    logging.basicConfig(level=level, handlers=[handler])
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _excepthook


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(shown_lines("".join(traceback.format_exception(kind, error, trace))) + "\n")

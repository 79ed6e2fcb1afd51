"""Pages that we write. What they show comes from the web: it is escaped, and a page may load, run and send nothing."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from humanvlm.shown import one_line

CHARSET = '<meta charset="utf-8">'
STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)
# Styles are those of the templates, by hash; a style attribute, of a bar's length, cannot load anything either.
POLICY = (
    "default-src 'none'; img-src data:; style-src {styles}; style-src-attr 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)


def render(
    package: str, template: str, filters: Mapping[str, Callable[..., Any]] | None = None, /, **values: Any
) -> str:
    """A template of the folder ``templates`` of a package, as a page. Raises jinja2's errors for what is undefined."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_readable,
    )
    environment.filters.update(filters or {})
    return with_policy(environment.get_template(template).render(values))


def with_policy(page: str) -> str:
    """The page with a Content-Security-Policy (W3C, Level 3) that allows pictures in it and the styles that it has."""
    digests = (hashlib.sha256(style.encode()).digest() for style in STYLE.findall(page))
    styles = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
    before, charset, after = page.partition(CHARSET)
    if not charset:
        raise ValueError(f"the page has no {CHARSET}")
    rules = (
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY.format(styles=styles)}">',
        '<meta name="referrer" content="no-referrer">',
    )
    return "\n".join((before + charset, *rules)) + after


def _readable(value: Any) -> Any:
    """A text with its lines, but without what would turn or hide it; what is markup stays."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return "\n".join(map(one_line, value.split("\n")))

"""Files in which a site says what may be used: robots.txt, ai.txt, tdmrep.json, and headers."""

import json

from fuzzing.target import Target

AGENT = "humanvlm"


def consent_files() -> list[bytes]:
    tdm = [{"location": "/a/*/b$", "tdm-reservation": 1, "tdm-policy": "https://example.org"}]
    return [
        b"User-agent: *\nDisallow: /a\nAllow: /a/b*.jpg$\nCrawl-delay: 2\nSitemap: https://example.org/s.xml\n",
        b"\xef\xbb\xbfUser-Agent: humanvlm\r\nUser-Agent: other\r\nDisallow: *\r\nContent-Usage: train-ai=n\r\n",
        b"User-Agent: *\nDisallow: *.png\nDisallow: /\xc3\xa4%2f%zz\nAllow: /\n",
        json.dumps(tdm * 3).encode(),
        b"noai, noimageai, otherbot: noindex, max-snippet: 20",
    ]


def in_consent_files() -> list[tuple[bytes, bytes, bytes]]:
    units = (
        b"Disallow: /a*b\n",
        b"Allow: /\n",
        b"User-agent: a\n",
        b"*",
        b"a*",
        b"/*/",
        b"a:",
        b",",
        b"%2f",
        b"\n",
        b"[",
    )
    befores = (b"", b"User-agent: *\nDisallow: /")
    return [
        *((before, unit, b"\n") for before in befores for unit in units),
        (b"[", b'{"location":"/*a","tdm-reservation":1},', b"{}]"),
        (b'[{"tdm-reservation": 1, "location": "', b"/*a", b'"}]'),
    ]


def consent_one(data: bytes) -> str:
    """robots.txt, ai.txt and tdmrep.json, and a long address matched against them; directives of a head."""
    from humanvlm.scrape.consent import directives, parse_tdmrep, tdm_reserved
    from humanvlm.scrape.robots import parse_rules

    body = data[: 500 << 10]
    paths = (b"/", b"/a/b/c.jpg?x=1", b"/a" * 4_000, data[:8_000].translate(None, b"\r\n\x00"))
    rules, tdm = parse_rules(body, AGENT), list(parse_tdmrep(body))
    decided = [rules.deciding(path) for path in paths]
    reserved = [tdm_reserved(tdm, path) for path in paths]
    said = list(directives([data[: 64 << 10].decode("latin-1")], AGENT))
    return f"{'rules' if any(decided) else 'no rule'}{', reserved' if any(reserved) else ''}{', said' if said else ''}"


TARGETS = (Target("consent", consent_files, consent_one, in_consent_files),)

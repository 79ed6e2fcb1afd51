"""Counts of a crawl that add up over shards: by reason, HTTP status, format, host, and size."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from humanvlm.data.places import SCHEME
from humanvlm.scrape.addresses import parse_url
from humanvlm.scrape.reasons import RefusedError

MAX_HOSTS = 100  # of a shard; the rest is one line, since a crawl may meet millions
LOCAL_FILES = "(files here)"
OTHER_HOSTS = "(other hosts)"
SIDE_BOUNDS = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 4096)


def statistics_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Statistics of rows, kept ones being those without a ``reason``.

    bytes: of stored pictures. kilobytes: pictures by size, the key being the upper bound of a doubling. sides: by
    shorter side, the key being the lower bound in px. tls: pictures by the column of that name. hosts: kept and dropped
    counts by reason of the largest hosts.
    """
    reasons: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    kilobytes: Counter[str] = Counter()
    sides: Counter[str] = Counter()
    tls: Counter[str] = Counter()
    hosts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    size = 0
    for row in rows:
        statuses[str(row["status"] or "none")] += 1
        reason = row.get("reason")
        hosts[host_of(row["url"])][reason or "kept"] += 1
        if reason:
            reasons[reason] += 1
            continue
        formats[row["format"]] += 1
        size += row["bytes"]
        kilobytes[str(max(1, 1 << (row["bytes"] // 1024).bit_length()))] += 1
        sides[_side(min(row["width"], row["height"]))] += 1
        tls[row.get("tls") or "none"] += 1
    return {
        "reasons": dict(sorted(reasons.items())),
        "statuses": ranked(statuses),
        "formats": ranked(formats),
        "hosts": largest(hosts),
        "bytes": size,
        "kilobytes": by_number(kilobytes),
        "sides": by_number(sides),
        "tls": ranked(tls),
    }


def merged(statistics: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum of the statistics of several shards."""
    total: dict[str, Counter[str]] = defaultdict(Counter)
    hosts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    size = 0
    for one in statistics:
        size += one["bytes"]
        for key in ("reasons", "statuses", "formats", "kilobytes", "sides"):
            total[key].update(one[key])
        total["tls"].update(one.get("tls", {}))  # records of before have none
        for host, counts in one["hosts"].items():
            hosts[host].update(counts)
    return {
        "reasons": dict(sorted(total["reasons"].items())),
        "statuses": ranked(total["statuses"]),
        "formats": ranked(total["formats"]),
        "hosts": largest(hosts),
        "bytes": size,
        "kilobytes": by_number(total["kilobytes"]),
        "sides": by_number(total["sides"]),
        "tls": ranked(total["tls"]),
    }


def host_of(url: str | None) -> str:
    """The host a URL names, or '' when it is none; of addresses of files here one name."""
    if url and url.startswith(SCHEME):
        return LOCAL_FILES
    try:
        return parse_url(url or "").raw_host or ""
    except RefusedError:
        return ""


def ranked(counter: Mapping[str, int]) -> dict[str, int]:
    """Largest first, ties by name."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def by_number(counter: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: int(item[0])))


def largest(hosts: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """The hosts with most rows, largest first; the others together."""
    order = sorted(hosts, key=lambda host: (host == OTHER_HOSTS, -hosts[host].total(), host))
    rest: Counter[str] = Counter()
    for host in order[MAX_HOSTS:]:
        rest.update(hosts[host])
    found = {host: dict(sorted(hosts[host].items())) for host in order[:MAX_HOSTS]}
    return found | ({OTHER_HOSTS: dict(sorted(rest.items()))} if rest else {})


def _side(side: int) -> str:
    return str(max((bound for bound in SIDE_BOUNDS if bound <= side), default=0))

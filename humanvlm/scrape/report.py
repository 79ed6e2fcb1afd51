"""What a crawl reports: tables by host, status, reason and size, and their plots."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from humanvlm.data.atomic_io import write_json
from humanvlm.inspect.plots import Bar, contact_sheet, draw_bars, funnel, sample_rows
from humanvlm.pipeline.contract import Counts, ShardResult
from humanvlm.scrape.reasons import retriable
from humanvlm.scrape.statistics import merged, ranked

MANIFEST = "manifest.json"
SHOWN_HOSTS = 20


@dataclass(frozen=True)
class Shown:
    """info: statistics and tables for the report. plots: names of the pictures that were drawn."""

    info: dict[str, Any]
    plots: Sequence[str]


def present(out: Path, counts: Counts, results: Sequence[ShardResult]) -> Shown:
    """Draw the plots of a crawl, write its manifest, and return what the report says of it."""
    statistics = merged(result.info for result in results)
    contact_sheet(sample_rows(out, 24, run=3), out / "contact.jpg")
    write_json(out / MANIFEST, {"files": [asdict(file) for result in results for file in result.files]})
    return Shown({**statistics, "tables": tables(counts, statistics)}, [*draw(counts, statistics, out), "contact.jpg"])


def nothing_kept(counts: Counts) -> str:
    """One line on a crawl that kept no row of an index: the commonest reason, and what to do."""
    reason, rows = next(iter(ranked(counts.dropped).items()))
    return (
        f"raw_scrape: none of {counts.rows_in:,} rows has a picture, mostly {reason} ({rows:,}); {_remedy(reason)}; "
        f"what was learnt is kept"
    )


def _remedy(reason: str) -> str:
    again = f"then run it again with --retry-failed={reason}"
    if reason in ("private_address", "loopback_address"):
        return f"name the hosts as HOST:PORT in raw_scrape.allow_private_hosts, {again}"
    if retriable(["transient"])(reason):
        return f"see that this machine reaches the sites, {again}"
    return f"look at `humanvlm show artifacts/raw_scrape --dropped`, mend the index or the settings, {again}"


def tables(counts: Counts, statistics: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Tables by title, each a list of rows of equal columns."""
    total, kept = max(counts.rows_in, 1), max(counts.kept, 1)
    return {
        "rows by reason": [
            {"reason": reason, "rows": rows, "share": f"{rows / total:.1%}"}
            for reason, rows in [("kept", counts.kept), *ranked(counts.dropped).items()]
        ],
        "rows by HTTP status": [
            {"status": status, "rows": rows, "share": f"{rows / total:.1%}"}
            for status, rows in statistics["statuses"].items()
        ],
        "hosts with most rows": [_host(name, found) for name, found in list(statistics["hosts"].items())[:SHOWN_HOSTS]],
        "pictures by format": [
            {"format": name, "pictures": n, "share": f"{n / kept:.1%}"} for name, n in statistics["formats"].items()
        ],
        "pictures by size": [
            {"up to": f"{bound} KiB", "pictures": n, "share": f"{n / kept:.1%}"}
            for bound, n in statistics["kilobytes"].items()
        ],
        "pictures by shorter side": [
            {"from": f"{bound} px", "pictures": n, "share": f"{n / kept:.1%}"}
            for bound, n in statistics["sides"].items()
        ],
        "pictures by TLS": [
            {"TLS": name, "pictures": n, "share": f"{n / kept:.1%}"} for name, n in statistics["tls"].items()
        ],
    }


def _host(name: str, found: Mapping[str, int]) -> dict[str, Any]:
    rows, kept = sum(found.values()), found.get("kept", 0)
    failures = ranked({reason: n for reason, n in found.items() if reason != "kept"})
    worst = ", ".join(f"{reason} {n}" for reason, n in list(failures.items())[:3])
    return {"host": name, "rows": rows, "kept": kept, "success": f"{kept / rows:.1%}", "commonest failures": worst}


def draw(counts: Counts, statistics: Mapping[str, Any], out: Path) -> Sequence[str]:
    """Write the plots into ``out`` and return their names."""
    steps = {"in": counts.rows_in, "kept": counts.kept, **ranked(counts.dropped)}
    funnel(steps, out / "funnel.png", title="raw_scrape: rows")
    hosts = [_host_bar(name, found) for name, found in list(statistics["hosts"].items())[:SHOWN_HOSTS]]
    draw_bars(hosts, out / "hosts.png", title="rows kept (green) and dropped, hosts with most rows")
    sizes = [Bar(f"≤ {bound} KiB", [(n, "#1f77b4")], f"{n:,}") for bound, n in statistics["kilobytes"].items()]
    draw_bars(sizes, out / "sizes.png", title="pictures by size of the file")
    return ["funnel.png", "hosts.png", "sizes.png"]


def _host_bar(name: str, found: Mapping[str, int]) -> Bar:
    kept, rows = found.get("kept", 0), sum(found.values())
    return Bar(name or "(no host)", [(kept, "#2ca02c"), (rows - kept, "#dddddd")], f"{kept:,} of {rows:,}")

"""Counts of a captioned artifact that add up over shards: lengths of texts, facts that are known, claims by support."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Tally = Mapping[str, Mapping[str, int]]

MOST_VALUES = 100  # of a fact in a shard: phrases may be many
STEPS = 20  # bins of faithfulness
CELL = ("gender", "stage", "shot")  # whose combinations are counted: who is in the data, and how
# What every person has, or what is no guess.
GIVEN = ("box", "face", "position", "shot", "size")
OF_PICTURE = ("place", "setting", "objects", "relations", "background", "text")
CHANGED = ("repaired", "replaced")
COUNTED = ("facts", "claims", "captioner", *CHANGED, "faithfulness", "license", "split")
SUPPORT = ("supported", "unsupported", "contradicted")


def tally(rows: Iterable[Mapping[str, Any]], texts: Sequence[str]) -> dict[str, dict[str, int]]:
    """Counts of rows by name and value, all of them whole numbers. texts: the columns whose words are counted.

    ``words TEXT``: texts by length. ``rows``, ``captioner``, ``license``, ``split``; ``repaired`` and ``replaced`` by
    reason; ``faithfulness`` by the lower bound of a bin of 0.05. ``claims``: ``KIND SUPPORT``. ``people``: pictures by
    how many are in them. ``known``: people by the facts known of them, what is absent (no hat) included, and
    ``person``, all of them. ``known of picture``: the same of pictures. ``value FACT`` and ``by FACT``: what the facts
    are, and what measured them. ``cells``: people by CELL.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts["rows"]["all"] += 1
        for name in texts:
            counts[f"words {name}"][str(len((row[name] or "").split()))] += 1
        for name in ("captioner", "license", "split"):
            if row.get(name):
                counts[name][row[name]] += 1
        for name in CHANGED:
            counts[name].update(reasons := reasons_of(row.get(name) or ""))
            counts["rows"][name] += bool(reasons)
        if (faithfulness := row.get("faithfulness")) is not None:
            counts["faithfulness"][f"{math.floor(faithfulness * STEPS + 1e-6) / STEPS:.2f}"] += 1
        for claim in (claim for claims in json.loads(row.get("claims") or "{}").values() for claim in claims):
            counts["claims"][f"{claim['kind']} {_support(claim)}"] += 1
        _add_facts(counts, json.loads(row["facts"]))
    return {
        name: dict(counter.most_common(MOST_VALUES) if name.startswith(("value ", "license")) else counter)
        for name, counter in counts.items()
    }


def of_statistics(row: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    """What ``tally`` reads of a row."""
    return {name: row[name] for name in (*texts, *COUNTED) if name in row}


def reasons_of(text: str) -> list[str]:
    """Reasons in the column ``repaired`` or ``replaced``: ``short: name, too_long; detailed: name`` has three."""
    return [reason for changed in filter(None, text.split("; ")) for reason in changed.partition(": ")[2].split(", ")]


def _support(claim: Mapping[str, Any]) -> str:
    return "contradicted" if claim.get("contradicted") else "supported" if claim.get("by") else "unsupported"


def _add_facts(counts: Mapping[str, Counter[str]], facts: Mapping[str, Any]) -> None:
    counts["people"][str(facts["people_count"])] += 1
    for name in OF_PICTURE:
        if found := _listed(facts.get(name) or []):
            counts["known of picture"][name] += 1
            counts[f"by {name}"].update({item["source"] for item in found if item.get("source")})
            if name != "text":  # legible words are of the picture alone
                counts[f"value {name}"].update({said for item in found if (said := _named(item))})
    for person in facts["people"]:
        counts["known"]["person"] += 1
        for name, value in person.items():
            if name in GIVEN or not value:
                continue
            for known, guesses in _known(name, value):
                counts["known"][known] += 1
                counts[f"value {known}"].update({guess["value"] for guess in guesses[:1]})
                counts[f"by {known}"].update({guess["source"] for guess in guesses if guess.get("source")})
        counts["cells"][", ".join(_said(person.get(name)) for name in CELL)] += 1


def _known(name: str, value: Any) -> Iterable[tuple[str, Sequence[Mapping[str, Any]]]]:
    """The name of a known fact with its guesses; each part of each region's garment is a fact of its own."""
    if name != "garments":
        yield name, [item for item in _listed(value) if isinstance(item, dict) and "value" in item]
        return
    for garment in value:
        for part in ("kind", "colours", "length"):
            if garment.get(part):
                yield f"{garment['region']} {part}", _listed(garment[part])


def _named(item: Mapping[str, Any]) -> str:
    return str(item.get("value") or item.get("predicate") or item.get("label") or "")


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _said(value: Any) -> str:
    return str(value["value"] if isinstance(value, dict) else value or "unknown")


def merged(tallies: Iterable[Tally]) -> dict[str, dict[str, int]]:
    """The sum of tallies; values that are numbers in their order, others largest first."""
    total: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in tallies:
        for name, counts in one.items():
            total[name].update(counts)
    return {name: _ordered(total[name]) for name in sorted(total)}


def _ordered(counts: Mapping[str, int]) -> dict[str, int]:
    numbers = all(value.replace(".", "", 1).isdigit() for value in counts)
    order = (lambda item: (float(item[0]), "")) if numbers else (lambda item: (-item[1], item[0]))
    return dict(sorted(counts.items(), key=order))


def figures(total: Tally, texts: Sequence[str]) -> dict[str, float]:
    """Metrics of a merged tally; those of columns that an artifact lacks are left out.

    TEXT_words_mean, _median and _p95; turns_mean and others of conversations; test_mean, repaired, replaced and
    faithfulness_below_0.8, shares of rows; faithfulness, the share of all claims that are supported; claims_per_row,
    claims.unsupported and .contradicted; known.FACT, shares of the people described.
    """
    rows = max(total.get("rows", {}).get("all", 0), 1)
    found: dict[str, float] = {}
    for name in texts:
        lengths = {int(length): count for length, count in total.get(f"words {name}", {}).items()}
        if lengths:
            mean = sum(length * count for length, count in lengths.items()) / sum(lengths.values())
            found[f"{name}_words_mean"] = round(mean, 4)
            found[f"{name}_words_median"] = quantile(lengths, 0.5)
            found[f"{name}_words_p95"] = quantile(lengths, 0.95)
    if splits := total.get("split"):
        found["test_mean"] = round(splits.get("test", 0) / rows, 4)
    found |= {f"{name}_mean": round(count / rows, 4) for name, count in total.get("talks", {}).items()}
    if bins := total.get("faithfulness"):
        low = sum(count for value, count in bins.items() if float(value) < 0.8)
        found["faithfulness_below_0.8"] = round(low / sum(bins.values()), 4)
        found |= {name: round(total["rows"].get(name, 0) / rows, 4) for name in CHANGED}
    claims = by_support(total)
    if claims:
        all_claims = sum(sum(counts.values()) for counts in claims.values())
        found["claims_per_row"] = round(all_claims / rows, 4)
        names = {"supported": "faithfulness"} | {name: f"claims.{name}" for name in SUPPORT[1:]}
        for support, name in names.items():
            found[name] = round(sum(counts[support] for counts in claims.values()) / all_claims, 4)
    known = dict(total.get("known", {}))
    people = known.pop("person", 0)
    return found | {f"known.{name.replace(' ', '_')}": round(count / people, 4) for name, count in known.items()}


def by_support(total: Tally) -> dict[str, dict[str, int]]:
    """Claims by kind, then by support; kinds with most claims first."""
    kinds: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SUPPORT, 0))
    for name, count in total.get("claims", {}).items():
        kind, _, support = name.rpartition(" ")
        kinds[kind][support] += count
    return dict(sorted(kinds.items(), key=lambda item: (-sum(item[1].values()), item[0])))


def quantile(counts: Mapping[int, int], share: float) -> int:
    """The smallest value that at least ``share`` of what is counted does not exceed."""
    wanted, seen = share * sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    raise ValueError("nothing was counted")

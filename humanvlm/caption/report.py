"""What a captioned artifact says of itself: statistics, plots, tables, its card, and Croissant metadata."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from humanvlm.caption.statistics import CHANGED, COUNTED, SUPPORT, Tally, by_support, figures, tally
from humanvlm.caption.template.skeleton import skeleton
from humanvlm.caption.variety import variety
from humanvlm.data.atomic_io import write_json
from humanvlm.data.shards import ShardFile, find_shards, open_shard, read_rows
from humanvlm.inspect.cards import write_card
from humanvlm.inspect.croissant import About, column_descriptions, write_croissant
from humanvlm.inspect.plots import Bar, contact_sheet, draw_bars, sample_rows
from humanvlm.shown import cell
from humanvlm.weights.catalog import model_entries

STATISTICS = "statistics.json"
SAMPLE = 1000  # texts of which variety is measured
SHOWN = 40  # facts in tables
COLOURS = {"supported": "#2f9e5b", "unsupported": "#e0a030", "contradicted": "#c62f3b"}
RESPONSIBLE = {
    "dataCollection": "Pictures and texts were downloaded from the addresses of a URL index, honouring robots.txt and "
    "machine-readable opt-outs.",
    "dataCollectionType": "Web Scraping",
    "dataPreprocessingProtocol": "Pictures without people, unsafe, blurred, badly exposed or too small ones and near "
    "duplicates were left out; each with its reason, in the folder dropped/ of the artifact.",
    "dataAnnotationProtocol": "Captions are written from what models measured in the picture, or by the captioner that "
    "the column captioner names, and each is checked against what was measured.",
    "personalSensitiveInformation": "Pictures show people. Gender, age and expression are how people appear to "
    "classifiers, carry probabilities, and may be wrong. No face is recognised; names are taken out of texts by rules "
    "that miss some, unless the parameter redact is off.",
    "dataLimitations": "Measured facts have errors, and differ in quality between groups of people; what was not "
    "measured is unknown, not absent.",
    "dataReleaseMaintenancePlan": "Samples are taken down on request by id, URL or sha256 (`humanvlm forget`).",
}
LICENCE = "Each picture is under the licence that its row names in the column license, where its source states one."
LIMITS = """Facts are measured by the models above, whose errors differ between groups of people; what they do not see
is unknown, not absent. Attributes are how people appear to them: no face is recognised, and they are no ground for a
decision about a person. A claim without support need not be wrong: no fact says so."""
TAKEDOWN = """`humanvlm forget --ids FILE` (or `--urls`, `--sha256`) removes samples from every artifact, and later runs
leave them out. The column `url` tells where a picture is from."""


@dataclass(frozen=True)
class Kind:
    """An artifact of captions: its title, what it is, and its columns of text."""

    title: str
    description: str
    texts: Sequence[str]


@dataclass(frozen=True)
class Shown:
    """files: that were written. plots: names of those that are pictures. info: tables for the report."""

    files: Sequence[ShardFile]
    plots: Sequence[str]
    metrics: Mapping[str, float]
    info: Mapping[str, Any]


def count_shard(path: Path, texts: Sequence[str]) -> dict[str, dict[str, int]]:
    """The tally of a shard that is written already; its pictures are not read."""
    present = open_shard(path).schema_arrow.names
    return tally(read_rows(path, [name for name in (*texts, *COUNTED) if name in present]), texts)


def present(out: Path, kind: Kind, total: Tally, shards: Sequence[ShardFile]) -> Shown:
    """Write statistics, plots, card and Croissant metadata of a finished artifact into ``out``.

    total: the merged tallies of its rows. shards: its files of rows, in their order.
    """
    varieties = {name: figure for name in kind.texts if (figure := variety(_sample(out, name), skeleton))}
    metrics = figures(total, kind.texts) | {
        f"{name}_{figure}": value for name, found in varieties.items() for figure, value in found.items()
    }
    tables = {
        "texts": [_text_row(name, metrics) for name in kind.texts if f"{name}_words_median" in metrics],
        "facts by people described": list(_fact_rows(total)),
        "claims by kind": [
            {"kind": name, "claims": sum(counts.values()), **counts} for name, counts in by_support(total).items()
        ],
        "captions changed": [
            {"reason": reason, **{what: total.get(what, {}).get(reason, 0) for what in CHANGED}}
            for reason in sorted({reason for what in CHANGED for reason in total.get(what, {})})
        ],
    }
    plots = list(_draw(out, kind.texts, total))
    write_json(out / STATISTICS, {"metrics": metrics, "sample": SAMPLE, "counts": total})
    schema = open_shard(find_shards(out)[0]).schema_arrow
    about = About(
        kind.title, " ".join(kind.description.partition("\n\n")[0].split()), LICENCE, column_descriptions(), RESPONSIBLE
    )
    files = [
        *(ShardFile.of(out, name) for name in (*plots, STATISTICS)),
        write_croissant(out, about, shards, schema),
        write_card(out, kind.title, _card(kind, schema, total, tables)),
    ]
    return Shown(files, plots, metrics, {"tables": {name: rows for name, rows in tables.items() if rows}})


def _sample(out: Path, name: str) -> list[str]:
    return [row[name] or "" for row in sample_rows(out, SAMPLE, columns=[name])]


def _text_row(name: str, metrics: Mapping[str, float]) -> dict[str, Any]:
    names = ("words_median", "words_p95", "vocabulary", "distinct_1", "distinct_2", "self_bleu", "commonest_skeleton")
    return {"text": name} | {figure.replace("_", " "): _number(metrics.get(f"{name}_{figure}")) for figure in names}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _fact_rows(total: Tally) -> Iterator[dict[str, Any]]:
    """Facts of people, those known of most first, then of pictures."""
    people, pictures = total.get("known", {}).get("person", 0), total.get("rows", {}).get("all", 0)
    known = [(name, count, people) for name, count in total.get("known", {}).items() if name != "person"]
    known += [(f"picture: {name}", count, pictures) for name, count in total.get("known of picture", {}).items()]
    for name, count, all_of_them in known[:SHOWN]:
        fact = name.removeprefix("picture: ")
        yield {
            "fact": name,
            "known": count,
            "share": f"{count / max(all_of_them, 1):.1%}",
            "measured by": ", ".join(list(total.get(f"by {fact}", {}))[:3]),
            "commonest": ", ".join(
                f"{cell(value, 80)} {n}" for value, n in list(total.get(f"value {fact}", {}).items())[:4]
            ),
        }


def _draw(out: Path, texts: Sequence[str], total: Tally) -> Iterator[str]:
    contact_sheet(sample_rows(out, 60), out / "plots" / "contact_sheet.png")
    yield "plots/contact_sheet.png"
    draw_words({name: total.get(f"words {name}", {}) for name in texts}, out / "plots" / "words.png")
    yield "plots/words.png"
    people = max(total.get("known", {}).get("person", 0), 1)
    known = [(name, count / people) for name, count in total.get("known", {}).items() if name != "person"][:30]
    if known:
        bars = [Bar(name, [(share, "#1f77b4"), (1 - share, "#eeeeee")], f"{share:.1%}") for name, share in known]
        draw_bars(bars, out / "plots" / "facts.png", title="people of whom a fact is known")
        yield "plots/facts.png"
    if claims := by_support(total):
        bars = [
            Bar(
                name,
                [(counts[support], COLOURS[support]) for support in SUPPORT],
                f"{counts['supported'] / sum(counts.values()):.1%} of {sum(counts.values()):,}",
            )
            for name, counts in claims.items()
        ]
        draw_bars(bars, out / "plots" / "claims.png", title="claims: supported, by no fact, contradicted")
        yield "plots/claims.png"


def draw_words(lengths: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """A histogram of the words a text has, one colour a column. lengths: texts by their words, of each column."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    longest = max((int(length) for counts in lengths.values() for length in counts), default=1)
    bins = range(0, longest + 4, 3)
    for name, counts in lengths.items():
        words = [int(length) for length in counts]
        axes.hist(words, bins=bins, weights=list(counts.values()), alpha=0.6, label=name)
    axes.set_xlabel("words a caption")
    axes.set_ylabel("pictures")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _card(kind: Kind, schema: pa.Schema, total: Tally, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    described = column_descriptions()
    sections = {
        "Columns": _table([{"column": f"`{name}`", "what": described.get(name, "")} for name in schema.names]),
        "Figures": f"{total.get('rows', {}).get('all', 0):,} rows. Of {SAMPLE:,} of them at most: vocabulary, "
        f"distinct-1 and -2, self-BLEU, and the share of the commonest skeleton.\n\n{_table(tables['texts'])}",
        "What is measured": _table(tables["facts by people described"]),
        "Claims of the captions": _table(tables["claims by kind"]),
        "Models": _table(list(_models(total))),
        "Limits": LIMITS,
        "Licence": LICENCE + "\n\n" + _table([{"license": cell(name, 80), "pictures": count}
                                              for name, count in list(total.get("license", {}).items())[:SHOWN]]),
        "Taking down": TAKEDOWN,
    }  # fmt: skip
    return "\n\n".join([kind.description.strip(), *(f"## {name}\n\n{text}" for name, text in sections.items() if text)])


def _models(total: Tally) -> Iterator[dict[str, str]]:
    """The entries of models.yaml that the facts name as their source, with their licences."""
    sources = {source for name, counts in total.items() if name.startswith("by ") for source in counts}
    for name, entry in model_entries().items():
        if name in sources:
            licence = {"code": entry.licence.code, "weights": entry.licence.weights}
            yield {"model": name, "role": entry.role, **licence, "note": cell(entry.note, 1000)}


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

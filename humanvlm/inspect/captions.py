"""Captions as they are looked at: each claim marked by what supports it, the facts as a sheet, boxes with numbers.

Rows come from any artifact that calls itself one, so columns are read with care: what does not fit is left out.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from humanvlm.data.facts import Facts, facts_from_json

SUPPORTED, UNSUPPORTED, CONTRADICTED = "supported", "unsupported", "contradicted"
SUPPORT = (SUPPORTED, UNSUPPORTED, CONTRADICTED)  # from best to worst
LONGEST = 6000
LOW = (1.0, 0.8, 0.5)  # faithfulness below which rows can be looked at alone
SHOWN_AS_BOXES = ("box", "face")


@dataclass(frozen=True)
class Piece:
    """A stretch of a caption. support: one of SUPPORT, '' where nothing is claimed. note: what is, by what."""

    text: str
    support: str = ""
    note: str = ""


@dataclass(frozen=True)
class Text:
    """A caption in pieces. counts: its claims by support."""

    label: str
    pieces: tuple[Piece, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Line:
    """One fact. probability: 0..1, None for what is counted or computed. share: whether it is the share of a region
    that has a colour, of which captions may add up two.
    """

    name: str
    value: str
    probability: float | None = None
    source: str = ""
    share: bool = False


@dataclass(frozen=True)
class Sheet:
    """Facts of the picture or of one person, by the number that its box has."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Mark:
    """A box to draw, in the picture's pixels. kind: people, faces or objects."""

    kind: str
    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation. asked: by the user."""

    asked: bool
    text: str


@dataclass(frozen=True)
class Caption:
    """What a captioned row shows beside its picture. size: of the picture that the marks are in, px."""

    texts: tuple[Text, ...]
    sheets: tuple[Sheet, ...]
    marks: tuple[Mark, ...]
    size: tuple[int, int]
    turns: tuple[Turn, ...]
    captioner: str
    repaired: str
    replaced: str
    faithfulness: float | None


def caption_of(row: Mapping[str, Any], columns: Sequence[str]) -> Caption | None:
    """The row as it is shown, the texts of ``columns`` in their order; None for a row that has no facts.

    Facts that cannot be read leave the sheet empty.
    """
    if "facts" not in row:
        return None
    try:
        facts = facts_from_json(row["facts"] or "")
    except ValueError:
        facts = None
    claims = claims_by_text(row.get("claims"))
    claims.setdefault("human_caption_hq", claims.get("fused", []))
    faithfulness = row.get("faithfulness")
    return Caption(
        tuple(marked(name, row[name], claims.get(name, ())) for name in columns if isinstance(row.get(name), str)),
        tuple(sheets(facts)) if facts else (),
        tuple(marks(facts)) if facts else (),
        (facts.width, facts.height) if facts else (1, 1),
        tuple(turns(row.get("conversations"))),
        str(row.get("captioner") or ""),
        str(row.get("repaired") or ""),
        str(row.get("replaced") or ""),
        float(faithfulness) if isinstance(faithfulness, int | float) else None,
    )


def claims_by_text(value: Any) -> dict[str, list[Mapping[str, Any]]]:
    """The column ``claims``: JSON of the claims of each text by its name; claims without a place are left out."""
    try:
        found = json.loads(value or "{}")
    except (TypeError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: [claim for claim in claims if isinstance(claim, dict) and _span(claim)]
        for name, claims in found.items()
        if isinstance(claims, list)
    }


def _span(claim: Mapping[str, Any]) -> tuple[int, int] | None:
    start, end = claim.get("start"), claim.get("end")
    return (start, end) if isinstance(start, int) and isinstance(end, int) and 0 <= start < end else None


def support_of(claim: Mapping[str, Any]) -> str:
    return CONTRADICTED if claim.get("contradicted") else SUPPORTED if claim.get("by") else UNSUPPORTED


def marked(label: str, text: str, claims: Sequence[Mapping[str, Any]]) -> Text:
    """A text cut where claims begin and end. Where claims overlap, the worst is shown and all are named."""
    text = text[:LONGEST]
    placed = [(*span, claim) for claim in claims if (span := _span(claim)) and span[0] < len(text)]
    cuts = sorted({0, len(text), *(min(cut, len(text)) for start, end, _ in placed for cut in (start, end))})
    pieces = []
    for start, end in pairwise(cuts):
        here = [claim for first, last, claim in placed if first < end and last > start]
        worst = max((support_of(claim) for claim in here), key=SUPPORT.index, default="")
        pieces.append(Piece(text[start:end], worst, "; ".join(map(_note, here))))
    counts = Counter(support_of(claim) for *_, claim in placed)
    return Text(label, tuple(pieces), {name: counts[name] for name in SUPPORT if counts[name]})


def _note(claim: Mapping[str, Any]) -> str:
    said = f"{claim.get('kind', '')}: {claim.get('value', '')}"
    by = f" by {claim['by']}" if claim.get("by") else ""
    return f"{said}, {support_of(claim)}{by}"


def sheets(facts: Facts) -> Iterator[Sheet]:
    """The picture's facts, then each person's."""
    whole = asdict(facts)
    named = {"people_count": "people", "monochrome": "black and white"}
    picture = [
        line
        for name, value in whole.items()
        if name not in ("width", "height", "people", "relations")
        for line in _lines(named.get(name, name), value)
    ]
    yield Sheet("Picture", (*picture, *(_relation(relation) for relation in whole["relations"])))
    for number, person in enumerate(facts.people, 1):
        lines = [line for name, value in asdict(person).items() for line in _lines(name, value)]
        yield Sheet(f"Person {number}", tuple(lines))


def _lines(name: str, value: Any) -> Iterator[Line]:
    """A fact as lines: guesses with probability and source; lists one by one; unknown ones not at all."""
    name = name.replace("_", " ")
    if value in (None, "", False, 0.0) or name in SHOWN_AS_BOXES:
        return
    if isinstance(value, list | tuple):
        for item in value:
            yield from _lines(name, item)
    elif not isinstance(value, dict):
        yield Line(name, f"{value:.0%}" if isinstance(value, float) else "yes" if value is True else str(value))
    elif "value" in value:
        share = name == "background" or name.endswith(" colours")
        yield Line(name, str(value["value"]), value["probability"], value["source"], share)
    elif "label" in value:
        count = f"{value['count']} × " if value["count"] > 1 else ""
        said = ", ".join(filter(None, (f"{count}{value['label']}", value["position"])))
        yield Line(name, said, value["probability"], value["source"])
    elif "region" in value:
        for part, inner in value.items():
            if part != "region":
                yield from _lines(f"{value['region']} {part}", inner)


def _relation(relation: Mapping[str, Any]) -> Line:
    other = relation["label"] if relation["other"] is None else f"person {relation['other'] + 1}"
    said = f"person {relation['person'] + 1} {relation['predicate']} {other}"
    return Line("relation", said, relation["probability"], relation["source"])


def marks(facts: Facts) -> Iterator[Mark]:
    """Boxes of objects, people (numbered as their sheets) and faces; those without an area are left out."""
    boxes: list[tuple[str, str, Sequence[float] | None]] = [
        ("objects", thing.label, thing.box) for thing in facts.objects
    ]
    boxes += [("people", str(number), person.box) for number, person in enumerate(facts.people, 1)]
    boxes += [("faces", "", person.face) for person in facts.people]
    for kind, label, box in boxes:
        if box and len(box) == 4 and box[2] > box[0] and box[3] > box[1]:
            yield Mark(
                kind, label, round(box[0], 1), round(box[1], 1), round(box[2] - box[0], 1), round(box[3] - box[1], 1)
            )


def turns(value: Any) -> Iterator[Turn]:
    """The turns of a column of conversations: a list of ``from`` and ``value``, or of ``role`` and ``content``, or JSON
    of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return
    for turn in value if isinstance(value, list) else ():
        if isinstance(turn, dict):
            speaker, text = turn.get("from") or turn.get("role"), turn.get("value") or turn.get("content")
            if isinstance(text, str):
                yield Turn(speaker in ("human", "user"), text[:LONGEST])


@dataclass(frozen=True)
class Choice:
    """One way to filter the rows: those whose places are in ``rows`` stay."""

    label: str
    rows: frozenset[int]


@dataclass(frozen=True)
class Filter:
    """Choices of which one holds; the first is all rows."""

    name: str
    choices: tuple[Choice, ...]


def filters(captions: Sequence[Caption]) -> list[Filter]:
    """Filters by captioner, why a caption was replaced, claims and faithfulness; those that tell rows apart."""
    worst = [{name for text in caption.texts for name in text.counts} for caption in captions]
    found = {
        "captioner": _by_value([caption.captioner] for caption in captions),
        "repaired": _by_value(reasons(caption.repaired) for caption in captions),
        "replaced": _by_value(reasons(caption.replaced) for caption in captions),
        "claims": {
            f"with {name}": {number for number, names in enumerate(worst) if name in names}
            for name in (UNSUPPORTED, CONTRADICTED)
        },
        "faithfulness": {
            f"below {bound:g}": {
                number
                for number, caption in enumerate(captions)
                if caption.faithfulness is not None and caption.faithfulness < bound
            }
            for bound in LOW
        },
    }
    everything = frozenset(range(len(captions)))
    told = {
        name: [Choice(label, frozenset(rows)) for label, rows in groups.items() if rows and len(rows) < len(captions)]
        for name, groups in found.items()
    }
    return [Filter(name, (Choice("all", everything), *choices)) for name, choices in told.items() if choices]


def reasons(text: str) -> list[str]:
    """Reasons in the column ``repaired`` or ``replaced``, whose entries are ``COLUMN: REASON, REASON; ...``."""
    return [reason for entry in filter(None, text.split("; ")) for reason in entry.rpartition(": ")[2].split(", ")]


def _by_value(values: Iterable[Sequence[str]]) -> dict[str, set[int]]:
    groups: dict[str, set[int]] = {}
    for number, here in enumerate(values):
        for value in here or ["no"]:
            groups.setdefault(value, set()).add(number)
    return dict(sorted(groups.items()))

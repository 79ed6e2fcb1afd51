"""Pages of a training: ``replies.html``, what it said of the same pictures as it learnt; ``report.html``, its curves.

Both are one file with everything in it. Text is escaped.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from humanvlm.data.atomic_io import write_text
from humanvlm.inspect.drawn import drawable
from humanvlm.inspect.html import render
from humanvlm.train.parts import PARTS
from humanvlm.train.samples import Sample

SIDE = 160  # px of a thumbnail
COLUMNS = 12  # steps that a page of replies shows at most
POINTS = 1000  # of a curve; of longer ones each is the mean of neighbours
INK, SOFT = "#1c2430", "#5d6978"
MODEL, OTHER, THIRD = "#1f77b4", "#d1662b", "#4d9a57"
LOSSES = {
    "token": "nats a label token",
    "square": "nats a label token; training: replies weigh the root of their tokens, validation: all tokens alike",
    "sample": "nats a label token; training: replies weigh the same, validation: all tokens alike",
}
Curve = Sequence[tuple[float, float]]


def write_replies(
    path: Path, name: str, rows: Sequence[Sample], images: Sequence[Any], said: Mapping[int, Sequence[str]]
) -> None:
    """A row a picture, with its caption and what was said after each step. said: step -> replies, one a row."""
    chosen = evenly(sorted(said), COLUMNS)
    cards = [
        {
            "picture": thumbnail(image),
            "question": row.turns[0][0],
            "truth": row.turns[0][1],
            "replies": [(step, said[step][place]) for step in chosen],
        }
        for place, (row, image) in enumerate(zip(rows, images, strict=True))
    ]
    write_text(path, _page("replies.html.j2", name=name, steps=chosen, cards=cards))


def write_report(
    path: Path,
    name: str,
    history: Sequence[Mapping[str, float]],
    tables: Mapping[str, Mapping[str, Any]],
    notes: Sequence[str],
    replies: bool,
    weighting: str = "token",
) -> None:
    """Curves of a training and what it was made of.

    history: the trainer's log, whose entries have ``loss`` or ``validation_loss``. tables: by title, keys and values.
    notes: sentences to be read first. replies: ``replies.html`` lies beside it. weighting: of the training's loss.
    """
    steps = [entry for entry in history if "loss" in entry]
    checks = [(entry["step"], entry["validation_loss"]) for entry in history if "validation_loss" in entry]
    figures = [
        ("Loss", LOSSES[weighting], {"training": _curve(steps, "loss"), "validation": checks}),
        ("Learning rate", "", _by_part(steps, "learning_rate")),
        ("Gradient norm", "before clipping", _by_part(steps, "grad_norm")),
        ("Tokens a second", "over all processes", {"": _rate(steps)}),
    ]
    drawn = [
        {"title": title, "unit": unit, "svg": chart({label: curve for label, curve in curves.items() if curve})}
        for title, unit, curves in figures
        if any(curves.values())
    ]
    shown = {title: {key: _said(value) for key, value in table.items()} for title, table in tables.items() if table}
    text = _page("curves.html.j2", name=name, figures=drawn, tables=shown, notes=notes, replies=replies)
    write_text(path, text)


def thumbnail(image: Any) -> str:
    """A small JPEG as a data URI."""
    small = drawable(image.convert("RGB"))
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def evenly(items: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the items, evenly spaced, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[place * (len(items) - 1) // (count - 1)] for place in range(count)]


def thinned(curve: Curve, count: int = POINTS) -> list[tuple[float, float]]:
    """The curve with at most ``count`` points, each the mean of as many neighbours."""
    size = max(1, -(-len(curve) // count))
    parts = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def chart(curves: Mapping[str, Curve]) -> str:
    """Lines as SVG, 480 x 240, that scale with the page."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "humanvlm", "font.size": 10}):
        figure = Figure(figsize=(5, 2.5), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for (label, curve), colour in zip(curves.items(), (MODEL, OTHER, THIRD), strict=False):
            points = thinned(curve)
            few = len(points) < 30
            style: dict[str, Any] = {"marker": "o", "markersize": 3} if few else {}
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.4, label=label, **style)
        axes.set_xlabel("step", color=SOFT)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e3e7ec", linewidth=0.8)
        axes.tick_params(colors=SOFT)
        if len(curves) > 1:
            axes.legend(frameon=False, labelcolor=INK)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def _curve(steps: Sequence[Mapping[str, float]], key: str) -> Curve:
    return [(entry["step"], entry[key]) for entry in steps if key in entry]


def _by_part(steps: Sequence[Mapping[str, float]], key: str) -> dict[str, Curve]:
    """The curve of each part, or the one of all."""
    parts = {part.replace("_", " "): _curve(steps, f"{key}_{part}") for part in PARTS}
    return parts if any(parts.values()) else {"": _curve(steps, key)}


def _rate(steps: Sequence[Mapping[str, float]]) -> Curve:
    return [(entry["step"], entry["tokens"] / entry["step_seconds"]) for entry in steps if entry.get("step_seconds")]


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _page(template: str, **values: Any) -> str:
    return render("humanvlm.train", template, base="base.html.j2", **values)  # what both pages extend

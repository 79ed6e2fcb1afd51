"""An artifact as one self-contained HTML page: its counts, its plots, and a sample of its rows with their pictures.

Texts and URLs come from the web: everything is escaped, addresses become links only when they are http(s), and the
page may load nothing.
"""

import base64
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanvlm.data.atomic_io import write_text
from humanvlm.data.dropped import FOLDER
from humanvlm.data.shards import find_shards, open_shard, read_rows, store_of
from humanvlm.inspect.captions import Caption, caption_of, filters
from humanvlm.inspect.html import render
from humanvlm.inspect.plots import BOX_COLOURS, sample_rows, thumbnail
from humanvlm.pipeline.contract import read_report
from humanvlm.pipeline.stages import STAGES

SIDE = 480
TEXTS = ("human_caption_hq", "short", "detailed", "face", "body", "background", "text", "captions")
WRITTEN = ("short", "detailed", "human_caption_hq", "face", "body", "background")  # on facts, so claims may be marked
IN_CAPTION = {"facts", "claims", "conversations", "captioner", "repaired", "replaced", "faithfulness"}
HIDDEN = {"image", "id", "url", "width", "height", "reason", "detail", *TEXTS}
PLOTS = {".png": "image/png", ".jpg": "image/jpeg"}
LONGEST = 2000


@dataclass(frozen=True)
class Card:
    """One row as it is shown. picture: a data: URI; link: may the URL be clicked; caption: of captioned rows."""

    title: str
    url: str
    link: bool
    size: str
    picture: str | None
    texts: tuple[tuple[str, str], ...]
    fields: tuple[tuple[str, str], ...]
    caption: Caption | None = None


def write_page(artifact: Path, *, rows: int = 24, dropped: bool = False, out: Path | None = None) -> Path:
    """Write the page of an artifact and return its path (default ``.state/show/ARTIFACT.html``).

    rows: how many are sampled, evenly spaced. dropped: show dropped rows with their reasons, and their pictures when
    the artifact they came from lies beside this one. Raises StageError when the folder is not an artifact.
    """
    has_shards = bool(find_shards(artifact))
    complete = (artifact / "report.json").exists()
    report = read_report(artifact) if complete or not has_shards else {}
    cards = list(_dropped(artifact, rows) if dropped else _kept(artifact, rows) if has_shards else ())
    captions = [card.caption for card in cards if card.caption]
    captioned = bool(captions)
    path = out or Path(".state") / "show" / f"{artifact.resolve().name}{'-dropped' if dropped else ''}.html"
    page = render(
        "humanvlm.inspect",
        "show.html",
        {"number": _number},
        name=artifact.resolve().name,
        complete=complete,
        dropped=dropped,
        report=report,
        reasons=_reasons(report),
        cards=cards,
        captioned=captioned,
        told=_told(report),
        filters=filters(captions),
        claimed=any(text.counts for caption in captions for text in caption.texts),
        plots=[] if dropped else list(_plots(artifact, report)),
        colours=BOX_COLOURS if captioned or any("box" in value for card in cards for _, value in card.fields) else {},
        config=json.dumps(report.get("config", {}), indent=1, ensure_ascii=False),
        tables={} if dropped else report.get("info", {}).get("tables", {}),
        info=json.dumps(report.get("info", {}), indent=1, ensure_ascii=False),
    )
    write_text(path, page)
    return path


def _told(report: Mapping[str, Any]) -> float:
    """The probability from which on the artifact's captions tell a fact; 0 where it has no such setting."""
    found = (values.get("min_probability") for values in report.get("config", {}).values() if isinstance(values, dict))
    return next((float(value) for value in found if isinstance(value, int | float)), 0.0)


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:.4g}"


def _reasons(report: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """Reason, rows, share of the rows read; most frequent first."""
    counts = report.get("rows")
    if not counts:
        return []
    total = max(counts["in"], 1)
    drops = sorted(counts["dropped"].items(), key=lambda item: (-item[1], item[0]))
    return [(reason, count, count / total) for reason, count in [("kept", counts["kept"]), *drops]]


def _plots(artifact: Path, report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and data: URI of each picture the report names and the artifact still has."""
    for name in report.get("plots", ()):
        path = artifact / name
        if path.suffix in PLOTS and path.is_file() and path.resolve().is_relative_to(artifact.resolve()):
            yield name, _data_uri(path.read_bytes(), PLOTS[path.suffix])


def _kept(artifact: Path, count: int) -> Iterator[Card]:
    for row in sample_rows(artifact, count):
        caption = caption_of(row, WRITTEN)
        yield _card(row, _picture(row, boxes=caption is None), caption)


def _dropped(artifact: Path, count: int) -> Iterator[Card]:
    rows = list(sample_rows(store_of(artifact) / FOLDER, count))
    pictures = _find_pictures(artifact, {row["id"]: row["reason"] for row in rows})
    return (_card(row, pictures.get(row["id"])) for row in rows)


def _find_pictures(artifact: Path, reasons: Mapping[str, str]) -> dict[str, str | None]:
    """Pictures of rows by id, from the artifacts beside this one that its stage reads. reasons: of their drops."""
    stage = STAGES.get(artifact.resolve().name)
    folders = [artifact.resolve().parent / name for name in (stage.inputs if stage else ())]
    shards = [path for folder in folders for path in find_shards(folder)]
    found: dict[str, str | None] = {}
    for path in shards:
        shard = open_shard(path)
        if reasons.keys() <= found.keys() or not {"id", "image"} <= set(shard.schema_arrow.names):
            break
        if reasons.keys().isdisjoint(row["id"] for row in read_rows(path, ["id"])):
            continue
        for row in read_rows(path, ["id", "image"]):
            if (reason := reasons.get(row["id"])) is not None:
                found[row["id"]] = _picture({**row, "reason": reason})
    return found


def _card(row: Mapping[str, Any], picture: str | None, caption: Caption | None = None) -> Card:
    url = row.get("url") or ""
    reason, detail = row.get("reason"), row.get("detail")
    texts = [(reason, detail or "")] if reason else []
    shown = [text.label for text in caption.texts] if caption else []
    texts += [(name, text) for name in TEXTS if name in row and name not in shown for text in _texts(row, name)]
    return Card(
        row.get("id") or "",
        url,
        url.startswith(("http://", "https://")),
        f"{row['width']} × {row['height']}" if row.get("width") else "",
        picture,
        tuple((name, text[:LONGEST]) for name, text in texts),
        tuple(
            (name, _field(value)[:LONGEST])
            for name, value in row.items()
            if name not in HIDDEN and value not in (None, []) and not (caption and name in IN_CAPTION)
        ),
        caption,
    )


def _texts(row: Mapping[str, Any], name: str) -> Iterable[str]:
    """The texts of a column; of the crawl's texts, only those not shown already."""
    value = row[name]
    texts = value if isinstance(value, list) else [value]
    return [
        text
        for text in texts
        if isinstance(text, str) and text and not (name == "captions" and text == row.get("text"))
    ]


def _field(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(_rounded(value), ensure_ascii=False, default=str)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return {key: _rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def _picture(row: Mapping[str, Any], boxes: bool = True) -> str | None:
    """The row's picture as a data: URI. boxes: drawn into it, where the page does not draw them over it."""
    image = thumbnail(row if boxes else {key: value for key, value in row.items() if key not in BOX_COLOURS}, SIDE)
    if image is None:
        return None
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=82)
    return _data_uri(sink.getvalue(), "image/jpeg")


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"

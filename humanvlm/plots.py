"""Plots that several stages share: contact sheets of rows and funnels of counts. PNG, light background."""

import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from humanvlm.shards import list_shards, open_shard

BOX_COLOURS = {"people": "#1f77b4", "faces": "#e4572e", "objects": "#59a14f"}
TEXT_COLUMNS = ("reason", "short", "human_caption_hq", "detailed", "text", "captions")
INK, PAPER = "#222222", "#ffffff"


def sample_rows(folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """At most ``count`` rows, evenly spaced over all shards of a folder; only their row groups are read."""
    shards = [(path, open_shard(path).metadata) for path in list_shards(folder)]
    total = sum(metadata.num_rows for _, metadata in shards)
    wanted = [number * total // count for number in range(count)] if total > count else list(range(total))
    first = 0
    for path, metadata in shards:
        for group in range(metadata.num_row_groups):
            last = first + metadata.row_group(group).num_rows
            here = [number - first for number in wanted if first <= number < last]
            if here:
                yield from open_shard(path).read_row_group(group).take(here).to_pylist()
            first = last


def picture_of(row: Mapping[str, Any]) -> Image.Image | None:
    """The row's picture as upright RGB, or None when the row has none or it does not decode."""
    data = (row.get("image") or {}).get("bytes")
    if not data:
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError):
        return None


def thumbnail(row: Mapping[str, Any], side: int) -> Image.Image | None:
    """The row's picture, at most ``side`` px long, with its boxes (xyxy px of the stored picture) drawn."""
    image = picture_of(row)
    if image is None:
        return None
    width = image.width
    image.thumbnail((side, side))
    return draw_boxes(image, row, image.width / width)


def draw_boxes(image: Image.Image, row: Mapping[str, Any], scale: float = 1.0) -> Image.Image:
    """Draw people, faces (with their points) and objects of the row; boxes are xyxy px times ``scale``."""
    draw = ImageDraw.Draw(image)
    line = max(1, round(max(image.size) / 160))
    for column, colour in BOX_COLOURS.items():
        for found in row.get(column) or ():
            x0, y0, x1, y1 = (value * scale for value in found["box"])
            draw.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), outline=colour, width=line)
            points = [value * scale for value in found.get("points") or ()]
            for x, y in zip(points[::2], points[1::2], strict=True):
                draw.ellipse((x - line, y - line, x + line, y + line), fill=colour)
    return image


def contact_sheet(rows: Iterable[Mapping[str, Any]], path: Path, *, columns: int = 6, side: int = 160) -> None:
    """Write a grid of the rows' pictures (at most 10 lines of it), boxes drawn, the first text below each, as an image.

    The file type follows the suffix of ``path``. Pictures that do not decode leave an empty tile, so a tile's place is
    its row's place.
    """
    tiles = list(islice(rows, columns * 10))
    font = ImageFont.truetype(str(_font()), 10)
    caption, gap = 30, 8
    lines = max(1, -(-len(tiles) // columns))
    sheet = Image.new("RGB", (columns * (side + gap) + gap, lines * (side + caption + gap) + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(tiles):
        x = gap + number % columns * (side + gap)
        y = gap + number // columns * (side + caption + gap)
        image = thumbnail(row, side)
        if image is None:
            draw.rectangle((x, y, x + side - 1, y + side - 1), outline="#cccccc")
        else:
            sheet.paste(image, (x + (side - image.width) // 2, y + (side - image.height) // 2))
        for index, text in enumerate(_fit(text_of(row), font, side, lines=2)):
            draw.text((x, y + side + 2 + 13 * index), text, fill=INK, font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=88)


def text_of(row: Mapping[str, Any]) -> str:
    """The most telling text of a row: its drop reason, else a caption, else the crawled text; '' without any."""
    for column in TEXT_COLUMNS:
        value = row.get(column)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, str) and value:
            return " ".join(value.split())
    return ""


def _fit(text: str, font: ImageFont.FreeTypeFont, width: int, lines: int) -> list[str]:
    """Wrap to at most ``lines`` lines of ``width`` px; what does not fit ends in an ellipsis."""
    fitted: list[str] = []
    words = text[:400].split()
    while words and len(fitted) < lines:
        taken = 1
        while taken < len(words) and font.getlength(" ".join(words[: taken + 1])) <= width:
            taken += 1
        line, words = " ".join(words[:taken]), words[taken:]
        if words and len(fitted) == lines - 1:
            line += "…"
        while len(line) > 1 and font.getlength(line) > width:
            line = line[:-2] + "…"
        fitted.append(line)
    return fitted


def _font() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def funnel(steps: Mapping[str, int], path: Path, *, title: str = "") -> None:
    """Write horizontal bars of counts, in the order given, each labelled with its count and share of the first."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, counts = list(steps), list(steps.values())
    first = max(counts[0], 1) if counts else 1
    figure = Figure(figsize=(7, 0.8 + 0.32 * max(len(names), 1)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    bars = axes.barh(
        range(len(names)), counts, color=["#1f77b4", "#2ca02c"][: len(names)] + ["#bbbbbb"] * len(names[2:])
    )
    axes.bar_label(bars, [f"{count:,} ({count / first:.1%})" for count in counts], padding=3, fontsize=8, color=INK)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlim(0, first * 1.2)
    axes.invert_yaxis()
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    if title:
        axes.set_title(title, fontsize=9, loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})

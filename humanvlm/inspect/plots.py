"""Plots that several stages share: contact sheets of rows and funnels of counts. PNG, light background."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from humanvlm.data.image import DecodeError, decode
from humanvlm.data.shards import RandomRows, list_shards, open_shard
from humanvlm.inspect.drawn import drawable

BOX_COLOURS = {"people": "#1f77b4", "faces": "#e4572e", "objects": "#59a14f"}
TEXT_COLUMNS = ("reason", "short", "human_caption_hq", "detailed", "text", "captions")
MOST_GROUPS = 8  # row groups in memory: the neighbours that threads read at a time
INK, PAPER = "#222222", "#ffffff"


def sample_rows(
    folder: Path, count: int, run: int = 1, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """At most ``count`` rows, evenly spaced over all shards of a folder; only their row groups are read.

    run: so many neighbours at each place; a row group costs as much for one row as for three. columns: all when None.
    """
    # The metadata of thousands of shards would take gigabytes: their row counts are enough.
    shards = [(path, open_shard(path).metadata.num_rows) for path in list_shards(folder)]
    total = sum(rows for _, rows in shards)
    wanted = list(range(total))
    if total > count:
        wanted = [(number - number % run) * total // count + number % run for number in range(count)]
    reader = RandomRows(columns, row_groups=MOST_GROUPS)
    with ThreadPoolExecutor(MOST_GROUPS) as pool:
        first = 0
        for path, rows in shards:
            here = [number - first for number in wanted if first <= number < first + rows]
            neighbours = [list(numbers) for _, numbers in groupby(here, partial(reader.group, path))]
            for found in pool.map(partial(_read, reader, path), neighbours):
                yield from found
            first += rows


def _read(reader: RandomRows, path: Path, numbers: Sequence[int]) -> list[dict[str, Any]]:
    return [reader.read(path, number) for number in numbers]


def picture_of(row: Mapping[str, Any], least: int = 0) -> Image.Image | None:
    """The row's picture to draw (``drawable``), upright RGB, or None when the row has none or it does not decode.

    least: px that the longer side must keep; a larger JPEG is then decoded to an eighth, quarter or half of its size.
    """
    data = (row.get("image") or {}).get("bytes")
    if not data:
        return None
    try:
        return drawable(decode(data, least), row)
    except DecodeError:
        return None


def thumbnail(row: Mapping[str, Any], side: int) -> Image.Image | None:
    """The row's picture, at most ``side`` px long, with its boxes (xyxy px of the stored picture) drawn."""
    boxed = any(row.get(column) for column in BOX_COLOURS)  # their scale is that of the whole picture
    image = picture_of(row, 0 if boxed else side)
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
    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter
        images = list(pool.map(partial(thumbnail, side=side), tiles))
    for number, (row, image) in enumerate(zip(tiles, images, strict=True)):
        x = gap + number % columns * (side + gap)
        y = gap + number // columns * (side + caption + gap)
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
    spec = find_spec("matplotlib")  # for its font; importing it takes half a second
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"


def funnel(steps: Mapping[str, int], path: Path, *, title: str = "") -> None:
    """Write horizontal bars of counts, in the order given, each labelled with its count and share of the first."""
    first = max(next(iter(steps.values()), 1), 1)
    colours = ["#1f77b4", "#2ca02c", *["#bbbbbb"] * len(steps)]
    lines = [
        Bar(name, [(count, colour)], f"{count:,} ({count / first:.1%})")
        for (name, count), colour in zip(steps.items(), colours, strict=False)
    ]
    draw_bars(lines, path, title=title)


@dataclass(frozen=True)
class Bar:
    """One line of a bar chart: its name, its parts from left to right (length, colour), and what is written behind."""

    name: str
    parts: Sequence[tuple[float, str]]
    label: str


def draw_bars(bars: Sequence[Bar], path: Path, *, title: str = "") -> None:
    """Write horizontal bars, top to bottom, as an image."""
    font, head = (ImageFont.truetype(str(_font()), size) for size in (20, 23))
    line, gap, top = 40, 16, 56 if title else 16
    left = gap + max([int(font.getlength(_clipped(bar.name))) for bar in bars], default=0) + gap
    right = gap + max([int(font.getlength(bar.label)) for bar in bars], default=0) + gap
    length = max(1400 - left - right, 400)
    longest = max([sum(part for part, _ in bar.parts) for bar in bars] + [1])
    image = Image.new("RGB", (left + length + right, top + line * len(bars) + gap), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((gap, gap), title, fill=INK, font=head)
    for number, bar in enumerate(bars):
        y, x = top + number * line, float(left)
        draw.text((left - gap, y + line / 2 - 2), _clipped(bar.name), fill=INK, font=font, anchor="rm")
        for part, colour in bar.parts:
            width = part / longest * length
            draw.rectangle((x, y + 3, max(x + width, x + 1), y + line - 8), fill=colour)
            x += width
        draw.text((x + gap / 2, y + line / 2 - 2), bar.label, fill=INK, font=font, anchor="lm")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _clipped(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"

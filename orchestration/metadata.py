"""What Dagster shows of an artifact, from its report.json: counts, drops, metrics, plots, a few pictures.

Pictures are inlined as small data URIs, so the event log stays light and the UI needs no file access.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from humanvlm.data.shards import find_shards, open_shard
from humanvlm.pipeline.contract import read_report
from humanvlm.shown import markdown, masked, shown

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PLOTS = 4
PLOT_WIDTH = 520
TILE = 112
TILES = (6, 2)


def describe_artifact(folder: Path) -> dict[str, Any]:
    """Metadata of a complete artifact. Raises humanvlm.pipeline.contract.StageError when it has no report."""
    report = read_report(folder)
    rows = report["rows"]
    return {
        "dagster/row_count": rows["kept"],
        "rows in": rows["in"],
        "rows dropped": sum(rows["dropped"].values()),
        **({"drops": _drops(rows)} if rows["dropped"] else {}),
        **{name: _table(records) for name, records in report.get("info", {}).get("tables", {}).items() if records},
        **_pictures(folder, report),
        **{f"metric: {name}": round(float(value), 6) for name, value in report["metrics"].items()},
        "seconds": float(report["timings"]["seconds"]),
        "report": dg.MetadataValue.path(str(folder / "report.json")),
        "MLflow": _mlflow_hint(),
    }


def _table(records: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """A table of the report's ``info``: rows of equal columns."""
    kinds = {name: "int" if isinstance(value, int) else "string" for name, value in records[0].items()}
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in kinds.items()])
    return dg.MetadataValue.table([dg.TableRecord(_record(record)) for record in records], schema=schema)


def _record(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: shown(value) if isinstance(value, str) else value for name, value in record.items()}


def _drops(rows: Mapping[str, Any]) -> dg.TableMetadataValue:
    counts = sorted(rows["dropped"].items(), key=lambda item: -item[1])
    return dg.MetadataValue.table(
        [dg.TableRecord({"reason": reason, "rows": n, "share": f"{n / rows['in']:.1%}"}) for reason, n in counts],
        schema=dg.TableSchema(
            [dg.TableColumn("reason", "string"), dg.TableColumn("rows", "int"), dg.TableColumn("share", "string")]
        ),
    )


def _mlflow_hint() -> dg.MetadataValue[Any]:
    from humanvlm.pipeline.tracking import tracking_uri

    uri = tracking_uri()
    if uri is None:
        return dg.MetadataValue.text("tracking is off (MLFLOW_TRACKING_URI=none)")
    if uri.startswith("http"):
        return dg.MetadataValue.url(uri)
    return dg.MetadataValue.text(f"mlflow ui --backend-store-uri {masked(uri)}")


def _pictures(folder: Path, report: Mapping[str, Any]) -> dict[str, dg.MetadataValue[Any]]:
    pngs = [name for name in report["plots"] if name.endswith(".png") and (folder / name).exists()]
    pictures = {f"plot: {Path(name).stem}": _plot(folder / name) for name in pngs[:MAX_PLOTS]}
    shards = find_shards(folder)
    sheet = _contact_sheet(shards[0]) if shards else None
    return pictures | ({"samples": sheet} if sheet else {})


def _plot(path: Path) -> dg.MetadataValue[Any]:
    from PIL import Image

    from humanvlm.data.image import decode

    image = decode(path.read_bytes())
    image.thumbnail((PLOT_WIDTH, PLOT_WIDTH))
    return _inline(image.convert("P", palette=Image.Palette.ADAPTIVE, colors=64), "PNG", path.stem)


def _contact_sheet(shard: Path) -> dg.MetadataValue[Any] | None:
    """The first pictures of a shard as one sheet; None when its rows hold none."""
    from PIL import Image, ImageOps

    from humanvlm.inspect.plots import picture_of

    file = open_shard(shard)
    if "image" not in file.schema_arrow.names or not file.metadata.num_rows:
        return None
    columns, rows = TILES
    cells = next(file.iter_batches(batch_size=columns * rows, columns=["image"])).column(0).to_pylist()
    sheet = Image.new("RGB", (columns * TILE, -(-len(cells) // columns) * TILE), "white")
    for index, cell in enumerate(cells):
        picture = picture_of({"image": cell}, TILE)
        if picture is not None:  # else its place stays empty
            tile = ImageOps.pad(picture, (TILE - 4, TILE - 4), color="white")
            sheet.paste(tile, (index % columns * TILE + 2, index // columns * TILE + 2))
    return _inline(sheet, "JPEG", "samples", quality=70)


def _inline(image: "Image", kind: str, title: str, **options: Any) -> dg.MetadataValue[Any]:
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True, **options)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![{markdown(title)}](data:image/{kind.lower()};base64,{encoded})")

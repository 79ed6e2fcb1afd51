"""What Dagster shows of an artifact, from its report.json: counts, drops, metrics, and where its plots are.

No picture is put into the metadata: the event log keeps what it is told for good, and a takedown must be able to
delete it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from humanvlm.pipeline.contract import read_report
from humanvlm.shown import markdown, masked, shown


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
        "page": f"humanvlm show {folder}",
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
    names = [name for name in report["plots"] if (folder / name).exists()]
    return {f"plot: {markdown(Path(name).stem)}": dg.MetadataValue.path(str(folder / name)) for name in names}

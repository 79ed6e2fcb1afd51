"""Asset checks of every stage, from its report.json; a failing blocking check holds back what is downstream."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from humanvlm.errors import UserError
from humanvlm.pipeline.contract import check_files, read_report
from humanvlm.shown import shown
from orchestration.dvc_graph import Graph, StageNode

REPORT_CHECKS = {
    "counts_balance": "Rows in = rows kept + rows dropped, every drop under a reason.",
    "rows_kept": "Something is left of what came in.",
    "files_whole": "Every file that the report lists is there, with the size it says.",
}


def report_checks(graph: Graph, node: StageNode) -> dg.AssetChecksDefinition:
    """The checks every artifact has, blocking."""
    folder = graph.root / node.out

    @dg.multi_asset_check(
        name=f"{node.name}_report",
        specs=[
            dg.AssetCheckSpec(name, asset=node.name, description=text, blocking=True)
            for name, text in REPORT_CHECKS.items()
        ],
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        for key in sorted(context.selected_asset_check_keys):
            passed, metadata = judge(key.name, folder)
            yield dg.AssetCheckResult(asset_key=node.name, check_name=key.name, passed=passed, metadata=metadata)

    return check


def judge(name: str, folder: Path) -> tuple[bool, dict[str, Any]]:
    """One of REPORT_CHECKS on an artifact: passed or not, and the figures it rests on."""
    try:
        report = read_report(folder)
        if name == "files_whole":
            check_files(folder)
            files = report["outputs"]
            return True, {"files": len(files), "bytes": sum(file["bytes"] for file in files)}
    except UserError as error:
        return False, {"problem": shown(str(error))}
    rows: Mapping[str, Any] = report["rows"]
    dropped = sum(rows["dropped"].values())
    figures = {"rows in": rows["in"], "rows kept": rows["kept"], "rows dropped": dropped}
    if name == "counts_balance":
        return rows["in"] == rows["kept"] + dropped and all(rows["dropped"]), figures
    return rows["kept"] > 0 or rows["in"] == 0, figures


def expectation_check(graph: Graph, node: StageNode) -> dg.AssetChecksDefinition:
    """The Great Expectations suite of a caption artifact; a warning or a failure by the kind of expectation."""

    @dg.asset_check(
        name="expectations",
        asset=node.name,
        description="Great Expectations suite on the metadata columns; picture bytes are not read.",
        blocking=True,
    )
    def check() -> dg.AssetCheckResult:
        from orchestration.expectations import validate  # Great Expectations takes seconds to import

        results = validate(node.name, graph.root / node.out)
        failed = [result for result in results if not result.passed]
        table = [
            dg.TableRecord(
                {
                    "expectation": result.expectation,
                    "column": result.column,
                    "passed": "yes" if result.passed else "NO",
                    "unexpected": result.unexpected,
                    "examples": shown(result.examples),
                }
            )
            for result in results
        ]
        return dg.AssetCheckResult(
            passed=not failed,
            description="; ".join(f"{result.column}: {result.expectation}" for result in failed) or None,
            metadata={"expectations": len(results), "failed": len(failed), "results": dg.MetadataValue.table(table)},
        )

    return check

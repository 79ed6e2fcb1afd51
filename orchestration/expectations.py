"""Great Expectations suites of the caption artifacts, on metadata columns only.

Import late: Great Expectations takes seconds. The context is ephemeral: nothing is written, nothing is sent.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import

import great_expectations as gx
import great_expectations.expectations as gxe
import pyarrow as pa

from humanvlm.data.shards import list_shards, read_rows
from humanvlm.pipeline.stages import STAGES

COMMON = ("id", "url", "split", "width", "height", "sha256")


@dataclass(frozen=True)
class Expected:
    """One expectation's result; unexpected: rows that broke it; examples: a few of their values."""

    expectation: str
    column: str
    passed: bool
    unexpected: int
    examples: str


def suite(name: str) -> Iterator[Any]:
    """The expectations of an artifact with texts in the table of stages."""
    yield gxe.ExpectTableRowCountToBeBetween(min_value=1)
    yield gxe.ExpectColumnValuesToBeUnique(column="id")
    yield gxe.ExpectColumnValuesToMatchRegex(column="id", regex=r"^[0-9a-f]{20}$")
    yield gxe.ExpectColumnValuesToMatchRegex(column="sha256", regex=r"^[0-9a-f]{64}$")
    yield gxe.ExpectColumnValuesToMatchRegex(column="url", regex=r"^https?://[^/\s]+")
    yield gxe.ExpectColumnValuesToBeInSet(column="split", value_set=["train", "test"])
    for column in COMMON:
        yield gxe.ExpectColumnValuesToNotBeNull(column=column)
    for column in ("width", "height"):
        yield gxe.ExpectColumnValuesToBeBetween(column=column, min_value=16, max_value=30_000)
    for column, words in STAGES[name].texts.items():
        yield gxe.ExpectColumnValuesToNotBeNull(column=f"{column}_words")
        yield gxe.ExpectColumnValuesToBeBetween(column=f"{column}_words", min_value=3, max_value=words)


def frame(name: str, folder: Path) -> Any:
    """Metadata of an artifact as a pandas DataFrame, one row a sample; of each text, its number of words."""
    return pa.concat_tables([_columns(shard, STAGES[name].texts) for shard in list_shards(folder)]).to_pandas()


def _columns(shard: Path, texts: Mapping[str, int]) -> pa.Table:
    rows = list(read_rows(shard, (*COMMON, *texts)))
    columns = {name: [row[name] for row in rows] for name in COMMON}
    words = {f"{text}_words": [_words(row[text]) for row in rows] for text in texts}
    return pa.table(columns | words)


def _words(text: str | None) -> int | None:
    return None if text is None else len(text.split())


def validate(name: str, folder: Path) -> list[Expected]:
    """Run the suite of an artifact. Raises ShardError when a shard is damaged or lacks a column."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("artifacts")
        .add_dataframe_asset(name)
        .add_batch_definition_whole_dataframe("all")
        .get_batch({"dataframe": frame(name, folder)})
    )
    outcome = batch.validate(gx.ExpectationSuite(name=name, expectations=list(suite(name))))
    return [_expected(result) for result in outcome.results]


def _expected(result: Any) -> Expected:
    config = result.expectation_config
    figures = result.result
    limits = {key: value for key, value in config.kwargs.items() if key not in ("column", "batch_id")}
    return Expected(
        expectation=" ".join([config.type, *(f"{key}={value}" for key, value in limits.items())]),
        column=config.kwargs.get("column", "(table)"),
        passed=bool(result.success),
        unexpected=int(figures.get("unexpected_count", 0)),
        examples=", ".join(str(value)[:60] for value in figures.get("partial_unexpected_list", [])[:3]),
    )

"""Great Expectations suites of the caption artifacts, on metadata columns only.

Import late: Great Expectations takes seconds. The context is ephemeral: nothing is written, nothing is sent.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import

import great_expectations as gx
import great_expectations.expectations as gxe
import pyarrow as pa

from humanvlm.data.shards import list_shards, read_rows
from humanvlm.pipeline.stages import STAGES

COMMON = ("id", "url", "split", "width", "height", "sha256")
FAITHFUL = ("faithfulness", "claims_supported", "claims_unsupported")
# A captioner may be let say more than facts do (min_faithfulness), but not of most pictures.
LEAST_MEAN, LEAST, MOSTLY = 0.8, 0.5, 0.95
MOST_REPEATS = 0.05  # of a hundred rows or more, those with the commonest caption, but for one


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
    yield gxe.ExpectColumnValuesToMatchRegex(column="url", regex=r"^(?:https?://[^/\s]|local:)[^\s]+")
    yield gxe.ExpectColumnValuesToBeInSet(column="split", value_set=["train", "test"])
    for column in COMMON:
        yield gxe.ExpectColumnValuesToNotBeNull(column=column)
    for column in ("width", "height"):
        yield gxe.ExpectColumnValuesToBeBetween(column=column, min_value=16, max_value=30_000)
    for column in FAITHFUL:
        yield gxe.ExpectColumnValuesToNotBeNull(column=column)
    for column in FAITHFUL[1:]:
        yield gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0)
    yield gxe.ExpectColumnValuesToBeBetween(column="faithfulness", min_value=0, max_value=1)
    yield gxe.ExpectColumnValuesToBeBetween(column="faithfulness", min_value=LEAST, mostly=MOSTLY)
    yield gxe.ExpectColumnMeanToBeBetween(column="faithfulness", min_value=LEAST_MEAN)
    for column, words in STAGES[name].texts.items():
        yield gxe.ExpectColumnValuesToNotBeNull(column=f"{column}_words")
        yield gxe.ExpectColumnValuesToBeBetween(column=f"{column}_words", min_value=3, max_value=words)
        yield gxe.ExpectColumnMaxToBeBetween(column=f"{column}_repeats", max_value=MOST_REPEATS)


def frame(name: str, folder: Path) -> Any:
    """Metadata of an artifact as a pandas DataFrame, one row a sample; of each text, its number of words and repeats.

    Repeats are the rows with the same text but for one, as a share of all rows, of a hundred at least.
    """
    texts = STAGES[name].texts
    parts = list(map(_columns, list_shards(folder), repeat(texts)))
    columns = {name: [value for part in parts for value in part[name]] for name in (*COMMON, *FAITHFUL, *texts)}
    rows = max(len(columns["id"]), 100)
    for text in texts:
        values = columns.pop(text)
        copies = Counter(values)
        columns[f"{text}_words"] = [_words(value) for value in values]
        columns[f"{text}_repeats"] = [(copies[value] - 1) / rows for value in values]
    return pa.table(columns).to_pandas()


def _columns(shard: Path, texts: Iterable[str]) -> dict[str, list[Any]]:
    rows = list(read_rows(shard, names := (*COMMON, *FAITHFUL, *texts)))
    return {name: [row[name] for row in rows] for name in names}


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

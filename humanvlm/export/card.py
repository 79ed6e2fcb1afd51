"""The card of an exported dataset: which files are which split, what the columns hold, whose the pictures are."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from humanvlm.export.forms import Dataset, Released
from humanvlm.inspect.croissant import column_descriptions
from humanvlm.shown import cell

LICENCES = 20
RELEASED_COLUMNS = {
    "image": "The picture as a file, its bytes and its name.",
    "human_caption": "The short and the detailed caption.",
    "human_caption_hq": "Chat turns: the request, and the caption as its answer.",
}
SPLIT = re.compile(r"data/(\w+)-\d+-of-\d+\.parquet")


def card(
    form: Dataset, report: Mapping[str, Any], files: Sequence[Mapping[str, Any]], licences: Mapping[str, int]
) -> str:
    """A Hugging Face dataset card, with which ``datasets.load_dataset(FOLDER)`` finds the splits.

    report: of the artifact. files: those written, as ``ShardFile`` has them. licences: rows by licence, "" for none.
    """
    rows: Counter[str] = Counter()
    for file in files:
        if match := SPLIT.fullmatch(file["path"]):
            rows[match[1]] += file["rows"]
    splits = sorted(rows, key=lambda split: (split != "train", split))
    front = {
        "pretty_name": f"{report['stage']}, of HumanVLM",
        "license": "other",
        "task_categories": ["image-to-text"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits],
            }
        ],
    }
    described = {**column_descriptions(), **(RELEASED_COLUMNS if isinstance(form, Released) else {})}
    version = report["versions"].get("humanvlm", "")
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n",
            f"# {front['pretty_name']}\n",
            f"{sum(rows.values()):,} rows that the stage `{report['stage']}` of HumanVLM {version} kept of "
            f"{report['rows']['in']:,}: " + ", ".join(f"{rows[split]:,} in `{split}`" for split in splits) + ".\n",
            "| column | holds |\n| --- | --- |",
            *(f"| `{name}` | {described.get(name, '')} |" for name in form.schema.names),
            "\nThe pictures belong to their authors. Licences, as the index of the crawl has them:\n",
            "| licence | rows |\n| --- | --- |",
            *(
                f"| {cell(name, 80) or 'not stated'} | {count:,} |"
                for name, count in Counter(licences).most_common(LICENCES)
            ),
            "",
        ]
    )

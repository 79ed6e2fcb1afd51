"""The dataset card of an artifact: ``datasets.load_dataset(FOLDER)`` then reads its shards and nothing else in it."""

from pathlib import Path

import yaml

from humanvlm.data.atomic_io import write_text
from humanvlm.data.shards import ShardFile

DATA_FILES = {"configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "shard-*.parquet"}]}]}


def write_card(out: Path, title: str, description: str) -> ShardFile:
    """Write ``out/README.md``, a Hugging Face dataset card whose one split is the shards; title and text are Markdown.

    Returns the file as an output of the stage.
    """
    front = yaml.safe_dump({"pretty_name": title, **DATA_FILES}, sort_keys=False, allow_unicode=True)
    write_text(out / "README.md", f"---\n{front}---\n\n# {title}\n\n{description.strip()}\n")
    return ShardFile.of(out, "README.md")

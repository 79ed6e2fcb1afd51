"""The card: every split and column, and nothing of a stranger's text as markup."""

import pyarrow as pa
import yaml

from humanvlm.export.card import card
from humanvlm.export.forms import Dataset

REPORT = {"stage": "human_caption", "rows": {"in": 9}, "versions": {"humanvlm": "0.1.0"}}
FILES = [
    {"path": "data/test-00000-of-00002.parquet", "rows": 1},
    {"path": "data/train-00000-of-00002.parquet", "rows": 2},
    {"path": "data/train-00001-of-00002.parquet", "rows": 3},
]


def test_the_card_names_splits_columns_and_licences() -> None:
    form = Dataset(pa.schema([("url", pa.string()), ("score", pa.float32())]))
    text = card(form, REPORT, FILES, {"": 4, "CC|0\n# <b>": 2})
    front = yaml.safe_load(text.split("---")[1])
    assert [part["split"] for part in front["configs"][0]["data_files"]] == ["train", "test"]
    assert "6 rows that the stage `human_caption` of HumanVLM 0.1.0 kept of 9: 5 in `train`, 1 in `test`." in text
    assert "| `url` | Address in the index. |\n| `score` |  |" in text
    assert "| not stated | 4 |\n| CC\\|0 # \\<b\\> | 2 |" in text

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.caption import hq_stage
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.data.facts import Facts
from humanvlm.data.shards import IMAGE, read_folder, shard_name, write_shard

BOX = pa.list_(pa.float32())
TEXTS = ("id", "url", "final_url", "license", "sha256", "facts", "split", "captioner")
SOURCE = pa.schema(
    [
        *((name, pa.string()) for name in TEXTS),
        ("image", IMAGE),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("captions", pa.list_(pa.string())),
        ("faces", pa.list_(pa.struct([("box", BOX)]))),
        ("people", pa.list_(pa.struct([("box", BOX)]))),
    ]
)


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(1, 200), st.none() | st.integers(1, 60)), max_size=90))
def test_every_row_of_a_shard_is_kept_or_dropped_once(
    sizes: list[tuple[int, int | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    config = HumanCaptionHQ(min_side=100, min_face_side=30)
    facts = Facts(100, 100, 0, (), "even", "medium", False).to_json()
    rows = [
        {
            **{"id": str(number), "url": "u", "width": side, "height": 200, "facts": facts, "captioner": "template"},
            **{"captions": [], "people": [], "faces": [{"box": [0, 0, face, face]}] if face else []},
        }
        for number, (side, face) in enumerate(sizes)
    ]
    write_shard(folder / shard_name(0), rows, SOURCE)
    result = hq_stage.describe_shard(hq_stage.Task(folder / shard_name(0), folder / "out", config))
    kept, dropped = ([row["id"] for row in read_folder(folder / name, ("id",))] for name in ("out", "out/dropped"))
    assert sorted(kept + dropped, key=int) == [row["id"] for row in rows]
    assert kept == [str(number) for number, (side, face) in enumerate(sizes) if side >= 100 and (face or 0) >= 30]
    assert result.counts.balanced
    assert (result.counts.rows_in, result.counts.kept) == (len(rows), len(kept))

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.caption import hq_stage
from humanvlm.caption import stage as caption_stage
from humanvlm.curate import stage as curate_stage
from humanvlm.data.columns import OWN, carried, further, plain
from humanvlm.inspect.croissant import column_descriptions
from humanvlm.scrape import store


def test_every_column_of_a_stage_is_known() -> None:
    written = {
        *store.SCHEMA.names,
        *curate_stage.ADDED.names,
        *(name for name, _ in caption_stage.COLUMNS),
        *hq_stage.PASSED_ON,
        *hq_stage.WRITTEN,
        "conversations",
        *column_descriptions(),
    }
    assert written <= OWN


@given(st.lists(st.sampled_from(["split", "index_split", "index_index_split", "url", "score", "Text"]), unique=True))
def test_further_columns_keep_their_names_but_for_those_of_stages(names: list[str]) -> None:
    found = carried(names)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert further(found.values()) == list(found.values())
    assert all(shown == name for name, shown in found.items() if name not in OWN)
    assert all(shown.endswith(name) and shown.startswith("index_") for name, shown in found.items() if name in OWN)


def test_types_are_those_that_readers_of_shards_expect() -> None:
    assert plain(pa.dictionary(pa.int8(), pa.string())) == pa.string()
    assert plain(pa.null()) == pa.string()
    assert plain(pa.list_(pa.float32())) == pa.list_(pa.float32())

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.scrape.plan import PLAN, Plan, Slice, load_plan, save_plan
from humanvlm.scrape.reconcile import reconciled

from .test_reconcile import write

parts = st.builds(
    lambda number, start, bits: Slice(
        number,
        start,
        start + len(bits),
        np.packbits(np.array([bit == 1 for bit in bits], dtype=bool)).tobytes(),
        np.packbits(np.array([bit == 2 for bit in bits], dtype=bool)).tobytes(),
    ),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.lists(st.integers(0, 2), max_size=20),
)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**40), st.lists(parts, max_size=6))
def test_a_saved_plan_is_loaded_as_it_was(total: int, parts: list[Slice]) -> None:
    before = Plan(total, tuple(parts))
    with TemporaryDirectory() as folder:
        save_plan(before, Path(folder) / "work")
        assert [path.name for path in (Path(folder) / "work").iterdir()] == [PLAN]
        after = load_plan(Path(folder) / "work")
    assert after == before


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    index = write(tmp_path / "index.parquet", [{"url": f"http://a.test/{n}"} for n in range(999)])
    with reconciled(index, 9, tmp_path) as found:
        save_plan(found.plan, tmp_path)
    whole = (tmp_path / PLAN).read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (flipped, whole[:middle], whole[:-9], b"", b"{}"):
        (tmp_path / PLAN).write_bytes(damaged)
        with pytest.raises(UserError, match=r"plan\.npz: no plan of a crawl"):
            load_plan(tmp_path)
    (tmp_path / PLAN).unlink()
    with pytest.raises(UserError, match=r"plan\.npz: no plan of a crawl"):
        load_plan(tmp_path)

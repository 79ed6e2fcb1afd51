from hypothesis import given
from hypothesis import strategies as st

from humanvlm.scrape.kept import Kept


def test_what_was_not_asked_for_longest_is_forgotten() -> None:
    kept: Kept[str, str] = Kept(10)
    kept.put("a", "first", 4)
    kept.put("b", "second", 4)
    assert kept.get("a") == "first"
    kept.put("c", "third", 4)
    assert [kept.get(key) for key in "abc"] == ["first", None, "third"]
    kept.put("a", "again", 1)
    kept.discard("c")
    kept.discard("never")
    assert (kept.get("a"), kept.bytes, len(kept)) == ("again", 1, 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12))), st.integers(0, 20))
def test_the_bytes_are_those_of_what_is_kept_and_bounded(puts: list[tuple[int, int]], most: int) -> None:
    kept: Kept[int, int] = Kept(most)
    for key, size in puts:
        kept.put(key, size, size)
        assert kept.get(key) == size
        assert kept.bytes == sum(kept.get(one) or 0 for one in range(6))
        assert kept.bytes <= max(most, size)

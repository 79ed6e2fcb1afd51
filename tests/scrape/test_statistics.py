import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.scrape.statistics import MAX_HOSTS, OTHER_HOSTS, merged, statistics_of

STATUS = st.none() | st.sampled_from([200, 404, 500])
SIZE = st.integers(1, 5000)


def rows_of(hosts: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    urls = hosts.map(lambda host: f"http://{host}/x" if host else "no address")
    kept = st.fixed_dictionaries(
        {"url": urls, "status": STATUS, "format": st.sampled_from(["JPEG", "PNG"]), "bytes": st.integers(1, 10**7)}
        | {"width": SIZE, "height": SIZE}
    )
    reasons = st.sampled_from(["timeout", "http_404", "duplicate_url"])
    dropped = st.fixed_dictionaries({"url": urls | st.none(), "status": STATUS, "reason": reasons})
    return st.lists(kept | dropped, max_size=30)


@given(rows_of(st.sampled_from(["a.test", "b.test", "10.0.0.1", ""])), st.lists(st.integers(0, 30), max_size=4))
def test_figures_of_parts_add_up_to_those_of_the_whole(rows: list[dict[str, Any]], cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [statistics_of(rows[low:high]) for low, high in pairwise(bounds)]
    stored = json.loads(json.dumps(parts))  # as they are kept in records
    assert list(merged(stored).items()) == list(statistics_of(rows).items())
    assert merged([merged(stored[:1]), *stored[1:]]) == merged(stored)


@settings(max_examples=20, deadline=None)
@given(rows_of(st.integers(0, 3 * MAX_HOSTS).map(lambda n: f"h{n}.test")).filter(bool), st.integers(1, 30))
def test_no_row_is_lost_when_there_are_more_hosts_than_are_told_apart(rows: list[dict[str, Any]], step: int) -> None:
    rows = [row | {"url": f"http://h{n}.test/{row['url']}"} for n in range(MAX_HOSTS + 20) for row in rows[:2]]
    parts = [statistics_of(rows[start : start + 60 * step]) for start in range(0, len(rows), 60 * step)]
    for statistics in (statistics_of(rows), merged(parts)):
        assert len(statistics["hosts"]) == MAX_HOSTS + 1
        assert list(statistics["hosts"])[-1] == OTHER_HOSTS
        assert sum(sum(counts.values()) for counts in statistics["hosts"].values()) == len(rows)
        kept = sum("reason" not in row for row in rows)
        assert sum(counts.get("kept", 0) for counts in statistics["hosts"].values()) == kept
        assert sum(statistics["formats"].values()) == sum(statistics["sides"].values()) == kept

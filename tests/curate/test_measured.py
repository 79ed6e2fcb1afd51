"""Pictures that are measured are not measured again, and one that kills the process that measures it is found out."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.curate import measured
from humanvlm.curate.measured import KILLED_WORKER, Measured, places_begun
from humanvlm.errors import UserError

Row = Mapping[str, Any]


def length(row: Row) -> dict[str, Any]:
    return {"sharpness": float(len(row["text"]))}


def die(row: Row) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def fail(row: Row) -> dict[str, Any]:
    raise UserError("no such model")


def interrupted(row: Row) -> dict[str, Any]:
    raise KeyboardInterrupt


def leave_in_flight(path: Path, place: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        Measured(path).measure(place, {"text": ""}, interrupted)


@settings(deadline=None, max_examples=30)
@given(rows=st.lists(st.text(max_size=5), max_size=12), deaths=st.lists(st.integers(0, 3), max_size=6))
def test_a_shard_is_measured_once_whatever_interrupts_it(
    rows: list[str], deaths: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("work") / "shard-00000"
    left = 0

    def measure(row: Row) -> dict[str, Any]:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return length(row)

    def run() -> list[Row]:
        shard = Measured(path)
        for place in range(len(shard), len(rows)):
            shard.measure(place, {"text": rows[place]}, measure)
        found = list(shard.rows())
        shard.close()
        return found

    interruptions = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measured, "in_a_process", lambda fn, task: fn(task))
        for left in deaths:  # noqa: B007
            try:
                run()
            except KeyboardInterrupt:
                interruptions += 1
        left = len(rows)
        assert run() == [{"sharpness": float(len(row))} for row in rows]
    begun = list(places_begun(path.with_suffix(".begun")))
    assert sorted(set(begun)) == list(range(len(rows)))
    assert len(begun) == len(rows) + interruptions


def test_a_picture_that_kills_twice_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "shard-00000"
    leave_in_flight(path, 0)
    shard = Measured(path)
    shard.measure(0, {"text": ""}, die)
    shard.measure(1, {"text": "ab"}, length)
    assert [row.get("reason") for row in shard.rows()] == [KILLED_WORKER, None]


def test_a_picture_in_flight_at_a_kill_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "shard-00000"
    leave_in_flight(path, 0)
    shard = Measured(path)
    shard.measure(0, {"text": "abc"}, length)
    assert list(shard.rows()) == [{"sharpness": 3.0}]


def test_errors_are_no_deaths(tmp_path: Path) -> None:
    path = tmp_path / "shard-00000"
    leave_in_flight(path, 0)
    with pytest.raises(UserError, match="no such model"):
        Measured(path).measure(0, {"text": ""}, fail)
    assert len(Measured(path)) == 0


def test_a_torn_end_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "begun"
    path.write_bytes(b"\x05\0\0\0\x06\0")
    assert list(places_begun(path)) == [5]

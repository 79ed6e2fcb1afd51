"""A pace that several keep together."""

import multiprocessing
from pathlib import Path

from humanvlm.inference.pace import Pace


def test_without_limits_nobody_waits_and_nothing_is_written(tmp_path: Path) -> None:
    assert [Pace(tmp_path / "p").turn(10**9) for _ in range(3)] == [0, 0, 0]
    assert not list(tmp_path.iterdir())


def test_turns_are_spread_over_the_minute_by_the_stricter_limit(tmp_path: Path) -> None:
    waits = [Pace(tmp_path / "new" / "p", requests=60, tokens=6000).turn(tokens) for tokens in (100, 300, 10, 10)]
    assert waits[0] == 0
    assert [round(wait) for wait in waits] == [0, 1, 4, 5]


def take(path: Path) -> float:
    return Pace(path, requests=60).turn(0)


def test_processes_take_turns(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        waits = sorted(pool.map(take, [tmp_path / "p"] * 6, chunksize=1))
    assert len({round(wait * 4) for wait in waits}) >= 5
    assert waits[-1] > 3


def test_a_damaged_file_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("what")
    assert take(tmp_path / "p") == 0
    assert take(tmp_path / "p") > 0.5

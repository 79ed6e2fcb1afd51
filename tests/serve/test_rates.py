"""A client's requests are counted over a minute, by a clock of the test's own."""

import pytest

from humanvlm.serve import rates
from humanvlm.serve.rates import Rates
from humanvlm.serve.refusals import Refused


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def waits(found: Rates, client: str) -> int:
    try:
        found.count(client)
    except Refused as refusal:
        return refusal.retry_after_s
    return 0


def test_as_many_as_allowed_and_then_one_by_one() -> None:
    clock = Clock()
    found = Rates(3, clock)
    assert [waits(found, "a") for _ in range(5)] == [0, 0, 0, 20, 20]
    assert waits(found, "b") == 0
    clock.now = 20.0
    assert [waits(found, "a") for _ in range(2)] == [0, 20]
    clock.now = 10_000.0
    assert [waits(found, "a") for _ in range(4)] == [0, 0, 0, 20]


def test_no_rate_counts_nobody() -> None:
    found = Rates(0)
    assert [waits(found, "a") for _ in range(100)] == [0] * 100
    assert not found.known


def test_clients_are_forgotten_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_CLIENTS", 3)
    found = Rates(1, Clock())
    assert [waits(found, client) for client in "abcdea"] == [0] * 6
    assert list(found.known) == ["d", "e", "a"]

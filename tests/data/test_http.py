from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from humanvlm.data.http import LONGEST_RETRY_AFTER_S, retry_after_s


@pytest.mark.parametrize(("value", "seconds"), [("2", 2.0), (" 0 ", 0.0), ("1.5", 1.5), ("120", 120.0), ("7.", 7.0)])
def test_a_number_is_seconds(value: str, seconds: float) -> None:
    assert retry_after_s(value) == seconds


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-9))])
def test_a_date_is_the_time_until_then(zone: timezone) -> None:
    later = format_datetime(datetime.now(zone) + timedelta(seconds=30))
    assert 27 < (retry_after_s(later) or 0) <= 30
    bare = (datetime.now(UTC) + timedelta(seconds=30)).strftime("%a, %d %b %Y %H:%M:%S")
    assert 27 < (retry_after_s(bare) or 0) <= 30


def test_a_moment_that_has_passed_is_now() -> None:
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


@pytest.mark.parametrize("value", ["9" * 5000, f"{'9' * 400}.5", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_wait_stays_a_number(value: str) -> None:
    assert retry_after_s(value) == LONGEST_RETRY_AFTER_S


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "soon", "-5", "nan", "inf", "-inf", "1e3", "0x10", "1_000", "\u00b2", "\u0663"),
        *(f"Mon, 01 Jan {'9' * 30} 00:00:00 GMT", f"Mon, 01 Jan 2024 00:{'9' * 30}:00 GMT"),
        *("Mon, 01 Jan 99999 00:00:00 GMT", "Wed, 21 Oct 2015 07:28:00 +99999999", "Wed, 99 Oct 2015 07:28:00 GMT"),
    ],
)
def test_what_is_neither_is_none(value: str | None) -> None:
    assert retry_after_s(value) is None


@example(f"Mon, 01 Jan 2024 00:{'9' * 30}:00 GMT")
@given(st.text() | st.from_regex(r"Mon, \d{1,3} Jan \d{1,30} \d\d:\d{1,30}:\d{1,30} ([+-]\d{1,30}|GMT)"))
def test_any_retry_after_is_a_wait_or_none(value: str) -> None:
    seconds = retry_after_s(value)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER_S

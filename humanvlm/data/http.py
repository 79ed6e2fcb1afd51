"""What headers of servers say, whoever asked: the crawl and models behind an endpoint read them alike."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

NUMBER = re.compile(r"\s*[0-9]+(\.[0-9]*)?\s*")  # some servers send fractions of seconds
LONGEST_RETRY_AFTER_S = 366 * 86_400.0  # longer than anybody waits, and still a number to calculate with


def retry_after_s(value: str | None) -> float | None:
    """Seconds of a Retry-After header, a number or a date (RFC 9110, section 10.2.3), 0 to ``LONGEST_RETRY_AFTER_S``.

    A moment that has passed is 0. None: there is no header, or it says neither.
    """
    if value is None:
        return None
    try:
        if NUMBER.fullmatch(value):
            seconds = float(value)
        else:
            moment = parsedate_to_datetime(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = (moment - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # the last for numbers beyond a machine word
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)

import re
from pathlib import Path

import pytest

from humanvlm.data import image
from humanvlm.errors import UserError
from humanvlm.scrape import reasons, store
from humanvlm.scrape.reasons import LASTING_REASONS, TRANSIENT_REASONS, RefusedError, reasons_named, retriable


def test_transient_stands_for_what_may_pass() -> None:
    asked = retriable(["transient"])
    assert all(asked(reason) for reason in ("timeout", "http_503", "http_500", "http_429", "proxy_error"))
    assert not any(asked(reason) for reason in ("http_404", "not_an_image", "robots_disallow"))
    assert retriable(["all"])("anything")
    assert retriable(["http_404"])("http_404")
    assert not retriable(["http_404"])("timeout")


def test_names_are_those_of_reasons() -> None:
    assert reasons_named("http_503, timeout,") == ("http_503", "timeout")
    assert reasons_named("transient") == ("transient",)
    with pytest.raises(UserError, match=r"no reason 'time_out'; did you mean timeout\? There are .*incomplete_body"):
        reasons_named("http_404,time_out")
    for wrong in ("http_5", "http_5000", "nonsense", "HTTP_404"):
        with pytest.raises(UserError):
            reasons_named(wrong)


def test_every_reason_that_is_given_has_a_name_to_ask_by() -> None:
    given = re.compile(r"(?:RefusedError|DecodeError)\(\s*\"(\w+)\"")
    sources = [*Path(reasons.__file__).parent.glob("*.py"), Path(image.__file__)]
    found = {name for source in sources for name in given.findall(source.read_text())}
    assert len(found) > 20
    assert found | {store.DUPLICATE} <= TRANSIENT_REASONS | LASTING_REASONS
    assert not TRANSIENT_REASONS & LASTING_REASONS


@pytest.mark.parametrize(
    "detail",
    ["back to http://me:secret@a.test/x", "'ftp://secret@a.test'", "http://me:secret@", "//x http://secret@@a/b@c"],
)
def test_details_have_no_credentials(detail: str) -> None:
    refusal = RefusedError("bad_url", detail)
    assert "secret" not in refusal.detail
    assert "secret" not in str(refusal)

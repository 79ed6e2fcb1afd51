"""What may be shown: no secret of an address, header or setting, and nothing that a terminal or a page obeys."""

import io
import logging
import re
import string
import sys
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.shown import (
    MASK,
    Formatter,
    cell,
    fenced,
    log_to_stderr,
    markdown,
    masked,
    masked_values,
    one_line,
    shown,
)

HIDDEN = [
    ("http://me:pass@h:5000/x is down", f"http://{MASK}@h:5000/x is down"),
    ("https://ghp_token@h/x", f"https://{MASK}@h/x"),
    ("postgresql+psycopg2://u:p%40x@db/ml?password=abc", f"postgresql+psycopg2://{MASK}@db/ml?password={MASK}"),
    ("http://u:p@ss@h/", f"http://{MASK}@h/"),
    ("http://u:pa/ss?w#@h/p", f"http://{MASK}@h/p"),
    ("a.jpg,http://u:p@b,https://c:d@e/x", f"a.jpg,http://{MASK}@b,https://{MASK}@e/x"),
    ("http://me:my pass@h/x", f"http://{MASK}@h/x"),
    (r"{\"url\": \"https:\/\/u:p@h\/x\"}", rf"{{\"url\": \"https:\/\/{MASK}@h\/x\"}}"),
    ("GET /fetch/https%3A%2F%2Fu%3Ap%40h%2Fx", f"GET /fetch/https%3A%2F%2F{MASK}%40h%2Fx"),
    ("AccountName=x;AccountKey=abc==;Suffix=y", f"AccountName=x;AccountKey={MASK};Suffix=y"),
    ("aws_secret_access_key = abc", f"aws_secret_access_key = {MASK}"),
    ("redis://:pw@h:6379", f"redis://{MASK}@h:6379"),
    ("//u:p@h/x", f"//{MASK}@h/x"),
    ("s3://b/k?X-Amz-Signature=ab&X-Amz-Date=1): no", f"s3://b/k?X-Amz-Signature={MASK}&X-Amz-Date=1): no"),
    ("http://h/?AWSAccessKeyId=A&Expires=1&size=3", f"http://h/?AWSAccessKeyId={MASK}&Expires=1&size=3"),
    ("http://h/?sv=1&sig=a%2Fb", f"http://h/?sv=1&sig={MASK}"),
    ("http://h/?a=1&amp;key=2", f"http://h/?a=1&amp;key={MASK}"),
    ("http://h/?%73ig=2", f"http://h/?%73ig={MASK}"),
    ("http://h/#access_token=abc&x=1", f"http://h/#access_token={MASK}&x=1"),
    ("http://h/?u=http%3A%2F%2Fu%3Ap%40h%2F%3Fsig%3Dx", f"http://h/?u=http%3A%2F%2F{MASK}%40h%2F%3Fsig%3D{MASK}"),
    ("Authorization: Basic dXNlcjpw", f"Authorization: {MASK}"),
    ("{'Authorization': 'Bearer a b', 'Accept': '*/*'}", f"{{'Authorization': '{MASK}', 'Accept': '*/*'}}"),
    ('{"Authorization": "Bearer cut', f'{{"Authorization": "{MASK}'),
    ("sent Bearer sk-abc12345678 twice", f"sent Bearer {MASK} twice"),
    ("X-Api-Key: abc", f"X-Api-Key: {MASK}"),
    ("x-amz-security-token=abc", f"x-amz-security-token={MASK}"),
    ("host=db password=hunter2 x=1", f"host=db password={MASK} x=1"),
    ("MLFLOW_TRACKING_PASSWORD='a b'", f"MLFLOW_TRACKING_PASSWORD='{MASK}'"),
    ('{"api_key": "a\\"b"}', f'{{"api_key": "{MASK}"}}'),
]
PLAIN = [
    "list.csv line 3, why?",
    "http://127.0.0.1:8080/img@2x.jpg",
    "https://medium.com/@user?page=2&keywords=a",
    "http://[::1]:80/x, http://h: and http://h:80 or write to me@h",
    "environment variable OPENAI_API_KEY: no key: it holds more than printable ASCII",
    "max_new_tokens=64 pad_token=<pad>",
    "//[bad",
    "basic authentication; Bearer authentication",
]


@pytest.mark.parametrize(("text", "wanted"), HIDDEN)
def test_secrets_are_hidden(text: str, wanted: str) -> None:
    assert masked(text) == wanted
    assert masked(wanted) == wanted


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


SECRETS = st.text(string.ascii_letters + string.digits + "-._~!$*(),:@", min_size=1).map(lambda text: f"zq{text}qz")


@given(SECRETS, SECRETS, st.sampled_from(["", ":8080", "/a//b", "?x=1", "/p?x=2#f"]), st.booleans())
def test_users_and_passwords_never_stay(user: str, password: str, rest: str, quoted: bool) -> None:
    told = f"{quote(user, safe='')}:{quote(password, safe='')}" if quoted else f"{user}:{password}"
    assert masked(f"at <https://{told}@example.org{rest}>, gone") == f"at <https://{MASK}@example.org{rest}>, gone"


@given(st.sampled_from(["sig", "token", "api-key", "X-Goog-Signature", "authToken", "KEY"]), SECRETS)
def test_secret_fields_never_stay(name: str, secret: str) -> None:
    text = f"https://example.org/x?a=1&{name}={quote(secret, safe='')}&b=2"
    assert masked(text) == f"https://example.org/x?a=1&{name}={MASK}&b=2"


@given(st.text())
def test_masking_again_changes_nothing_and_one_line_is_one(text: str) -> None:
    found = shown(text)
    assert masked(found) == found
    kinds = {unicodedata.category(character) for character in found if character not in "\u200c\u200d"}
    assert kinds.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
    found.encode()


def test_settings_are_masked_by_name_too() -> None:
    settings = {
        "url": "http://u:p@h",
        "key_variable": "OPENAI_API_KEY",
        "parameters": {"api_key": "abc", "max_tokens": 3, "pad_token": "<pad>", "headers": [{"Authorization": "x"}]},
        "empty": {"password": ""},
    }
    assert masked_values(settings) == {
        "url": f"http://{MASK}@h",
        "key_variable": "OPENAI_API_KEY",
        "parameters": {"api_key": MASK, "max_tokens": 3, "pad_token": "<pad>", "headers": [{"Authorization": MASK}]},
        "empty": {"password": ""},
    }


def test_what_a_terminal_obeys_is_written_out() -> None:
    assert one_line("a\x1b[2Jb\nc\r\u202ed\u2066\x9b\u2028\ud800") == (r"a\x1b[2Jb\nc\r\u202ed\u2066\x9b\u2028\ud800")
    assert one_line("é 漢字　\u200d👩‍👧 ok") == "é 漢字　\u200d👩‍👧 ok"


def test_markdown_is_escaped() -> None:
    assert markdown("| a <img src=x> ![x](http://h) `b` _c_ d_e\n# f") == (
        r"\| a \<img src=x\> !\[x\](http\://h) \`b\` \_c\_ d_e\\n# f"
    )
    assert markdown("# title") == r"\# title"


def test_a_cell_stays_in_its_row() -> None:
    assert cell("CC|0\n| x |\n<img src=http://h>") == r"CC\|0 \| x \| \<img src=http\://h\>"
    assert cell("|" * 300, 5) == r"\|" * 5


@given(st.lists(st.text("`~a\n ")))
def test_a_block_of_code_is_not_ended_by_its_lines(lines: list[str]) -> None:
    opening, *inner, closing = fenced(lines).split("\n")
    assert opening == f"{closing}text"
    assert all(closing not in line for line in inner)


def test_log_lines_and_tracebacks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter("%(levelname)s %(message)s"))
    record = logging.LogRecord("x", logging.INFO, "x", 1, "forged %s", ("\n2026 ERROR http://u:p@h",), None)
    handler.handle(record)
    assert stream.getvalue() == f"INFO forged \\n2026 ERROR http://{MASK}@h\n"

    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(logging, "root", logging.RootLogger(logging.WARNING))
    log_to_stderr()
    try:
        raise ValueError("http://u:hidden@h \x1b[31m")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert "hidden" not in said
    assert "\x1b" not in said
    assert re.search(r"\n  File .*test_shown\.py", said)


LONG = ["//a//u:p@", "//u:x y", "%2f%2fa", "http://u:p/", "?a=%2525", "'password", "secret='\\a", "cookie : ", "x-key"]


@pytest.mark.parametrize("text", LONG)
def test_a_long_text_is_gone_through_once(text: str) -> None:
    assert masked(text * 20_000)  # quadratic, each of these would take minutes

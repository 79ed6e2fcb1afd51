"""Models behind a server, on a real one over loopback that fails in every way: nothing is lost, all is counted."""

import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from humanvlm.config.endpoint import Endpoint
from humanvlm.errors import UserError
from humanvlm.inference import endpoint
from humanvlm.inference.ask import make_request
from humanvlm.inference.base import Reply, Request
from humanvlm.inference.cache import digest
from humanvlm.inference.chat import parse_reply, request_body
from humanvlm.inference.endpoint import Server, open_endpoint
from humanvlm.inference.failures import AttemptError

from ..evaluate.small_run import evaluate, jpeg
from .chat_server import FAULTS, MALFORMED, Chat, answer, picture_of, serve, text_for

KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(endpoint, "LONGEST_WAIT_S", 0.05)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def chat() -> Iterator[Chat]:
    with serve() as running:
        yield running


def requests(count: int) -> list[Request]:
    return [Request(f"k{n}", lambda n=n: jpeg(n), f"prompt {n}", 16) for n in range(count)]  # type: ignore[misc]


def server(chat: Chat, **changes: Any) -> Server:
    values = {"url": chat.url, "model": "m", "attempt_timeout_s": 0.4, "timeout_s": 20.0, "retries": 20} | changes
    return open_endpoint(Endpoint(**values), "benchmark_scores")


def ask(model: Server, asked: list[Request]) -> dict[str, Reply]:
    replies = [reply for made in model.answer(asked) for reply in made]
    assert Counter(reply.key for reply in replies) == Counter(request.key for request in asked)
    return {reply.key: reply for reply in replies}


def test_every_reply_goes_with_its_request_and_as_many_as_allowed_are_in_flight(chat: Chat) -> None:
    chat.pause = 0.05
    asked = requests(24)
    replies = ask(server(chat, concurrency=6, attempt_timeout_s=10), asked)
    assert 2 < chat.most_busy <= 6  # a busy machine may be late with the sixth
    said = {text_for(body) for body in chat.bodies}
    assert len(said) == 24
    for request in asked:
        reply = replies[request.key]
        assert reply.text in said
        assert reply.text.startswith(f"{request.prompt} ")
        assert (reply.tokens, reply.finish, reply.error, reply.info) == (3, "stop", "", {"model": "served-1"})
        assert 0.05 <= reply.latency_s < 5


def test_a_request_is_worded_as_documented(chat: Chat) -> None:
    ask(server(chat, parameters={"max_tokens": None, "max_completion_tokens": 9}, image_size=30), requests(1))
    body = chat.bodies[0]
    assert picture_of(body)[:2] == b"\xff\xd8"
    assert Image.open(io.BytesIO(picture_of(body))).size == (30, 20)
    body["messages"][0]["content"][0]["image_url"]["url"] = "PICTURE"
    content = [{"type": "image_url", "image_url": {"url": "PICTURE"}}, {"type": "text", "text": "prompt 0"}]
    assert body == {
        "model": "m",
        "temperature": 0,
        "max_completion_tokens": 9,
        "messages": [{"role": "user", "content": content}],
    }
    assert request_body(Endpoint(model="m"), "p", "u", 7)["max_tokens"] == 7


def test_whatever_passes_is_tried_again_until_it_has(chat: Chat) -> None:
    """Each request meets all faults, each at another attempt, before it is answered."""
    chat.fault = lambda prompt, attempt: (
        FAULTS[(attempt + int(prompt.split()[1])) % len(FAULTS)] if attempt < len(FAULTS) else None
    )
    asked = requests(4)
    replies = ask(server(chat), asked)
    assert [replies[request.key].text.rpartition(" ")[0] for request in asked] == [r.prompt for r in asked]
    assert {len(times) for times in chat.times.values()} == {len(FAULTS) + 1}
    for request in asked:
        sent = chat.times[request.prompt]
        place = (FAULTS.index("429") - int(request.prompt.split()[1])) % len(FAULTS)
        assert sent[place + 1] - sent[place] >= 1.0  # its Retry-After


@pytest.mark.parametrize(
    ("fault", "reason", "attempts"),
    [
        ("400", "http_400", 1),
        ("403", "http_403", 1),
        ("301", "http_301", 1),
        ("429 date", "http_429", 3),
        ("500", "http_500", 3),
        ("timeout", "timeout", 3),
        ("drop", "connection", 3),
        ("truncated", "connection", 3),
        ("not json", "malformed_reply", 3),
        ("no choices", "malformed_reply", 3),
        ("error object", "http_502", 3),
        ("nested", "malformed_reply", 3),
        ("huge", "malformed_reply", 3),
    ],
)
def test_what_fails_in_the_end_has_a_reason_and_spares_the_others(
    chat: Chat, fault: str, reason: str, attempts: int
) -> None:
    chat.fault = lambda prompt, attempt: fault if prompt == "prompt 1" else None
    replies = ask(server(chat, retries=2, attempt_timeout_s=3 if fault == "huge" else 0.3), requests(3))
    assert [replies[f"k{n}"].error for n in range(3)] == ["", reason, ""]
    assert replies["k1"].detail
    assert len(replies["k1"].detail) <= 320  # half of it the server's words, half the remedy
    assert len(chat.times["prompt 1"]) == attempts


def test_an_empty_reply_is_believed_when_it_comes_twice(chat: Chat) -> None:
    chat.fault = lambda prompt, attempt: "empty" if prompt == "prompt 0" or attempt == 0 else None
    replies = ask(server(chat), requests(2))
    assert (replies["k0"].text, replies["k0"].error) == ("", "")
    assert replies["k1"].text
    assert ask(server(chat, retries=0), requests(1))["k0"].error == "empty_reply"


@pytest.mark.parametrize(("fault", "finish"), [("filtered", "content_filter"), ("cut", "length")])
def test_a_reply_that_was_ended_early_is_one_though_it_is_empty(chat: Chat, fault: str, finish: str) -> None:
    chat.fault = lambda prompt, attempt: fault
    for reply in ask(server(chat), requests(2)).values():
        assert (reply.raw, reply.finish, reply.error) == ("", finish, "")
    assert {len(times) for times in chat.times.values()} == {1}


def test_patience_ends_with_the_time_of_a_sample(chat: Chat) -> None:
    chat.fault = lambda prompt, attempt: "429"
    replies = ask(server(chat, timeout_s=1.5), requests(2))
    assert {reply.error for reply in replies.values()} == {"http_429"}
    assert {len(times) for times in chat.times.values()} == {2}


def test_a_server_that_is_not_there_is_counted_too() -> None:
    with serve() as gone:
        pass
    replies = ask(server(gone, retries=1), requests(2))
    assert {reply.error for reply in replies.values()} == {"connection"}


def test_a_picture_that_does_not_decode_is_never_sent(chat: Chat) -> None:
    bad = Request("bad", lambda: b"no picture", "prompt", 4)
    replies = ask(server(chat), [bad, *requests(1)])
    assert replies["bad"].error == "corrupt_image"
    assert len(chat.bodies) == 1


def test_pictures_are_sent_upright_or_as_they_are(chat: Chat) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.new("RGB", (40, 20)).save(file, "PNG", exif=exif)
    request = Request("k", file.getvalue, "prompt", 4)
    ask(server(chat), [request])
    ask(server(chat, image_size=0), [request])
    upright, raw = chat.bodies
    assert Image.open(io.BytesIO(picture_of(upright))).size == (20, 40)
    assert picture_of(raw) == file.getvalue()
    assert raw["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_the_key_is_sent_and_kept_nowhere(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    chat.key = KEY
    monkeypatch.setenv("OTHER_KEY", f"{KEY}\n")
    model = server(chat, key_variable="OTHER_KEY")
    assert ask(model, requests(1))["k0"].text
    assert KEY not in repr(model) + json.dumps(model.identity)
    monkeypatch.setenv("OTHER_KEY", "sk-wrong")
    with pytest.raises(UserError, match=r"HTTP 401.*set the environment variable OTHER_KEY") as error:
        ask(server(chat, key_variable="OTHER_KEY"), requests(3))
    assert "sk-wrong" not in str(error.value)
    assert "\n" not in str(error.value)
    monkeypatch.setenv("OTHER_KEY", "sk-\nInjected: header")
    with pytest.raises(UserError, match="OTHER_KEY: no key"):
        server(chat, key_variable="OTHER_KEY")


def test_the_key_of_openai_goes_to_openai_alone(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert server(chat).key == ""
    assert server(chat, url="https://api.openai.com/v1").key == KEY
    chat.key = KEY
    with pytest.raises(UserError, match=r"HTTP 401.*name the environment variable .*endpoint\.key_variable"):
        ask(server(chat), requests(1))


def test_secrets_in_parameters_are_no_part_of_what_is_stored(chat: Chat) -> None:
    model = server(chat, parameters={"api_key": "abc-123"})
    assert "abc-123" not in json.dumps(model.identity)
    ask(model, requests(1))
    assert chat.bodies[0]["api_key"] == "abc-123"


def test_what_cannot_be_an_endpoint_is_said_in_one_line(chat: Chat) -> None:
    for url in ("", "api.openai.com/v1", "ftp://host/v1", "http://", "http://host/v1?key=1"):
        with pytest.raises(UserError, match=r"endpoint\.url"):
            open_endpoint(Endpoint(url=url, model="m"), "benchmark_scores")
    with pytest.raises(UserError, match="credentials") as error:
        open_endpoint(Endpoint(url="http://me:pass@host/v1", model="m"), "benchmark_scores")
    assert "pass" not in str(error.value)
    with pytest.raises(UserError, match=r"human_caption\.endpoint\.model"):
        open_endpoint(Endpoint(), "human_caption")
    with pytest.raises(UserError, match=r"HTTP 404.*url and model"):
        ask(server(chat, url=chat.url.removesuffix("/v1")), requests(1))


def test_identity_is_of_what_is_sent_not_of_how() -> None:
    def identity(**changes: Any) -> str:
        return json.dumps(Server(Endpoint(**({"url": "http://h/v1", "model": "m"} | changes))).identity, sort_keys=True)

    patient = {"concurrency": 2, "retries": 0, "timeout_s": 1.0, "attempt_timeout_s": 1.0, "key_variable": "K"}
    assert identity(**patient, url="http://h/v1/") == identity()
    changes: list[dict[str, Any]] = [{"model": "n"}, {"url": "http://i/v1"}, {"parameters": {"seed": 1}}]
    others = {identity(), *(identity(**change) for change in [*changes, {"image_size": 8}])}
    assert len(others) == 5


def test_replies_that_are_known_stay_known() -> None:
    model = digest(
        Server(Endpoint(url="http://h/v1", model="m", parameters={"seed": 1}, requests_per_minute=9)).identity
    )
    assert model == "b8a7600c1515f5eb1967be9912444b1e8e8c25df6c5a85bdb3c2b9212321998c"
    known = "d6b2feecd5353d0e9994e11c67e5d42bd22062f7e80b45c58bc8dad5f9cf9b2c"
    assert make_request(model, "p" * 64, bytes, "Describe.", 48).key == known
    assert make_request(model, "p" * 64, bytes, "Describe.", 48, {"type": "object"}).key != known


def test_words_alone_are_asked_as_words_alone(chat: Chat) -> None:
    made = ask(server(chat), [Request("k", None, "Rewrite this.", 16)])
    assert made["k"].text == "Rewrite this. no picture"
    assert chat.bodies[0]["messages"] == [{"role": "user", "content": "Rewrite this."}]
    assert "response_format" not in chat.bodies[0]
    assert (made["k"].prompt_tokens, made["k"].tokens) == (7, 3)


SCHEMA = {"type": "object"}


def test_a_schema_is_sent_where_the_server_takes_one(chat: Chat) -> None:
    asked = [Request(f"k{n}", None, f"prompt {n}", 16, SCHEMA) for n in range(3)]
    ask(server(chat), asked)
    assert {body["response_format"]["json_schema"]["schema"]["type"] for body in chat.bodies} == {"object"}
    chat.bodies.clear()
    chat.schemas = False
    made = ask(server(chat, concurrency=1), asked)
    assert not any(reply.error for reply in made.values())
    assert ["response_format" in body for body in chat.bodies] == [True, False, False, False]


def test_a_refusal_that_is_not_of_the_schema_is_one(chat: Chat) -> None:
    chat.fault = lambda prompt, attempt: "400"
    made = ask(server(chat), [Request("k", None, "prompt", 16, SCHEMA)])
    assert made["k"].error == "http_400"
    assert len(chat.bodies) == 2
    assert "human" not in made["k"].detail
    assert "benchmark_scores.endpoint" in made["k"].detail


def test_the_pace_is_kept_and_takes_nothing_off_the_time_of_a_sample(chat: Chat) -> None:
    start = time.monotonic()
    made = ask(server(chat, requests_per_minute=240, timeout_s=0.3), requests(4))
    assert not any(reply.error for reply in made.values())
    assert time.monotonic() - start >= 0.75


@pytest.mark.parametrize("name", [name for name in MALFORMED if name not in ("empty", "null", "cut", "filtered")])
def test_malformed_replies_say_what_is_wrong(name: str) -> None:
    value = MALFORMED[name]
    with pytest.raises(AttemptError) as error:
        parse_reply("k", value if isinstance(value, bytes) else json.dumps(value).encode(), 0.1, "s")
    assert error.value.reason == ("http_502" if name == "error object" else "malformed_reply")
    assert error.value.passing


def test_replies_in_parts_and_half_characters_are_read() -> None:
    parts = [{"type": "text", "text": " A "}, {"type": "refusal"}, {"type": "text", "text": "man "}]
    assert parse_reply("k", json.dumps(answer(parts)).encode(), 0.1, "s").text == "A man"
    assert parse_reply("k", json.dumps(answer("\ud83d cat")).encode(), 0.1, "s").text == "? cat"
    bare = parse_reply("k", b'{"choices": [{"message": {"content": "Hi"}}], "usage": 3}', 0.1, "s")
    assert (bare.text, bare.tokens, bare.info) == ("Hi", None, {})


Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture
def stage(chat: Chat, inputs: dict[str, Path], tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Run the stage against the server, with a key."""
    chat.key = KEY
    monkeypatch.setenv("CHAT_KEY", KEY)
    how = ("url=" + chat.url, "model=m", "key_variable=CHAT_KEY", "attempt_timeout_s=0.4", "timeout_s=20", "retries=20")

    def run(*overrides: str) -> dict[str, Any]:
        settings = ("model=endpoint", *(f"endpoint.{value}" for value in how), *overrides)
        return evaluate(inputs, tmp_path / "out", repo, *settings)

    return run


def test_the_stage_scores_a_server_that_fails_all_the_time(
    chat: Chat, stage: Evaluate, tmp_path: Path, predictions: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chat.fault = lambda prompt, attempt: FAULTS[attempt] if attempt < len(FAULTS) else None
    report = stage()
    assert report["rows"]["kept"] == 10
    assert report["rows"]["dropped"] == {"bad_row": 3, "corrupt_image": 1, "missing_image": 1}
    assert report["info"]["model"] == "endpoint"
    assert {"captions.cider", "captions.cider.mean_image", "rec.acc50", "attributes.accuracy"} <= report[
        "metrics"
    ].keys()
    details = json.loads((tmp_path / "out" / "details.json").read_text())
    assert details["run"]["model"]["request"]["model"] == "m"
    written = [path for folder in (tmp_path, predictions) for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    assert KEY not in caplog.text


def test_what_failed_is_counted_kept_out_and_asked_again(chat: Chat, stage: Evaluate) -> None:
    healthy = chat.fault
    chat.fault = lambda prompt, attempt: "400" if prompt.startswith(("Where", "Does")) else None
    with pytest.raises(UserError, match=r"no reply to 3 of 11 samples \(http_400 3; such as: .*\).*max_failed"):
        stage()
    assert len(chat.bodies) == 7
    report = stage("max_failed=0.3")
    assert sorted(Counter(chat.prompts).values())[:2] == [2, 2]  # only the two questions that failed, and the mean
    assert report["rows"]["dropped"] == {"bad_row": 3, "corrupt_image": 1, "http_400": 3, "missing_image": 1}
    assert report["rows"]["kept"] == 7
    assert report["info"]["absent"].keys() == {"vqa", "rec", "attributes"}
    before = len(chat.bodies)
    chat.fault = healthy
    assert stage()["rows"]["kept"] == 10
    assert len(chat.bodies) - before == 4  # those two, and blind
    assert stage("bootstrap=10")["info"]["replies"] == {"made": 0, "known": 7}
    assert len(chat.bodies) - before == 4


def test_one_changed_picture_asks_one_question(chat: Chat, stage: Evaluate, inputs: dict[str, Path]) -> None:
    stage("tasks=[captions]", "baselines=false")
    before = len(chat.bodies)
    picture = inputs["data"] / "benchmarks" / "images" / "3.jpg"
    was = picture.read_bytes()
    try:
        picture.write_bytes(jpeg(7))
        stage("tasks=[captions]", "baselines=false")
    finally:
        picture.write_bytes(was)
    assert len(chat.bodies) - before == 1

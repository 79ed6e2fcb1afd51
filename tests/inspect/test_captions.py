import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.data.facts import NONE, Facts, Garment, Guess, Person, Relation, Thing
from humanvlm.data.shards import IMAGE, shard_name, write_shard
from humanvlm.inspect.captions import caption_of, claims_by_text, filters, marked, marks, sheets, turns
from humanvlm.inspect.pages import write_page
from tests.inspect.test_pages import EVIL, Tags, png, report

PERSON = Person(
    (10.0, 10.0, 60.0, 90.0),
    (20.0, 12.0, 40.0, 32.0),
    "left",
    "half-length",
    gender=Guess("female", 0.97, "gender"),
    headwear=Guess(NONE, 0.8, "labels"),
    garments=(Garment("upper", (Guess("red", 0.7, "colour"),), Guess("suit", 0.6, "labels")),),
)
FACTS = Facts(
    200, 100, 3, (PERSON,), "even", "low", False,
    objects=(Thing("dog", 2, "right", 0.9, "ssd", (120.0, 40.0, 180.0, 90.0)), Thing("hat", 1, "left", 0.3)),
    relations=(Relation(0, "left of", 0.9, "dog", None, "geometry"),),
)  # fmt: skip
SHORT = "A woman in red stands left of a cat."
CLAIMS = [
    {"start": 2, "end": 7, "kind": "gender", "value": "female", "by": "gender", "contradicted": False},
    {"start": 11, "end": 14, "kind": "colour", "value": "red", "by": "", "contradicted": False},
    {"start": 32, "end": 35, "kind": "object", "value": "cat", "by": "", "contradicted": True},
]


def captioned(**changes: Any) -> dict[str, Any]:
    row = {"id": "one", "url": "http://a.example/1", "short": SHORT, "detailed": SHORT, "facts": FACTS.to_json()}
    picture = {"image": {"bytes": png(), "path": None}, "width": 200, "height": 100}
    said = {"captioner": "template", "replaced": "", "faithfulness": 0.9, "claims": json.dumps({"short": CLAIMS})}
    return row | picture | said | changes


def test_claims_are_marked_by_their_support() -> None:
    caption = caption_of(captioned(), ("short", "detailed"))
    assert caption
    short, detailed = caption.texts
    assert [(piece.text, piece.support) for piece in short.pieces if piece.support] == [
        ("woman", "supported"),
        ("red", "unsupported"),
        ("cat", "contradicted"),
    ]
    assert "".join(piece.text for piece in short.pieces) == SHORT
    assert short.counts == {"supported": 1, "unsupported": 1, "contradicted": 1}
    assert short.pieces[1].note == "gender: female, supported by gender"
    assert not detailed.counts


PLACE = st.integers(-5, 40)


@given(
    st.text(max_size=30),
    st.lists(st.fixed_dictionaries({"start": PLACE, "end": PLACE, "by": st.sampled_from(("", "x"))})),
)
def test_a_marked_text_is_the_text(text: str, claims: list[dict[str, Any]]) -> None:
    assert "".join(piece.text for piece in marked("short", text, claims).pieces) == text


def test_the_worst_of_overlapping_claims_is_shown() -> None:
    both = [{"start": 0, "end": 5, "by": "x"}, {"start": 2, "end": 7, "by": "", "contradicted": True}]
    pieces = marked("short", "a red car", both).pieces
    assert [(piece.text, piece.support) for piece in pieces] == [
        ("a ", "supported"),
        ("red", "contradicted"),
        (" c", "contradicted"),
        ("ar", ""),
    ]


@pytest.mark.parametrize(
    "value", [None, "", "no json", "[1]", '{"short": 3}', '{"short": [1, {"start": "0", "end": 3}]}']
)
def test_claims_that_are_none_are_left_out(value: str | None) -> None:
    assert not any(claims_by_text(value).values())


def test_a_sheet_has_every_known_fact_with_its_source() -> None:
    picture, person = sheets(FACTS)
    lines = {(line.name, line.value): (line.probability, line.source) for line in (*picture.lines, *person.lines)}
    assert lines["people", "3"] == (None, "")
    assert lines["objects", "2 × dog, right"] == (0.9, "ssd")
    assert lines["relation", "person 1 left of dog"] == (0.9, "geometry")
    assert lines["headwear", "none"] == (0.8, "labels")
    assert lines["upper colours", "red"] == (0.7, "colour")
    assert lines["upper kind", "suit"] == (0.6, "labels")
    assert not {"hair", "eyes", "box"} & {name for name, _ in lines}


def test_boxes_have_the_numbers_of_the_sheets() -> None:
    assert [(mark.kind, mark.label, mark.width) for mark in marks(FACTS)] == [
        ("objects", "dog", 60.0),
        ("people", "1", 50.0),
        ("faces", "", 20.0),
    ]


@pytest.mark.parametrize("keys", [("from", "value", "human"), ("role", "content", "user")])
def test_turns_of_either_layout(keys: tuple[str, str, str]) -> None:
    speaker, said, user = keys
    chat = [{speaker: user, said: "How many?"}, {speaker: "gpt", said: "Two."}, {speaker: "gpt"}, 3]
    for value in (chat, json.dumps(chat)):
        assert [(turn.asked, turn.text) for turn in turns(value)] == [(True, "How many?"), (False, "Two.")]
    assert not list(turns("no json"))


def test_filters_tell_rows_apart() -> None:
    rows = [
        captioned(),
        captioned(replaced="short: refusal, name; detailed: name", claims=None, faithfulness=0.4),
        captioned(claims=None),
    ]
    captions = [shown for row in rows if (shown := caption_of(row, ("short",)))]
    found = {facet.name: {choice.label: set(choice.rows) for choice in facet.choices} for facet in filters(captions)}
    assert found["replaced"] == {"all": {0, 1, 2}, "name": {1}, "no": {0, 2}, "refusal": {1}}
    assert found["claims"]["with contradicted"] == {0}
    assert found["faithfulness"] == {"all": {0, 1, 2}, "below 0.8": {1}, "below 0.5": {1}}
    assert "captioner" not in found  # one value tells nothing apart


def test_the_page_of_captions_escapes_and_loads_nothing(tmp_path: Path) -> None:
    out = tmp_path / "artifacts" / "human_caption"
    evil_claim = [{"start": 0, "end": 4, "kind": EVIL, "value": EVIL, "by": EVIL}]
    evil = captioned(short=EVIL, replaced=EVIL, captioner=EVIL, claims=json.dumps({"short": evil_claim}))
    names = ("id", "url", "short", "detailed", "facts", "captioner", "replaced", "claims", "conversations")
    schema = pa.schema([*((name, pa.string()) for name in names), ("image", IMAGE), ("faithfulness", pa.float32())])
    chat = json.dumps([{"from": "human", "value": EVIL}])
    rows = [captioned(conversations=chat), evil, captioned(facts="{}"), captioned(image={"bytes": b"", "path": None})]
    write_shard(out / shard_name(0), rows, schema)
    report(out, 4)
    page = write_page(out, out=tmp_path / "page.html").read_text(encoding="utf-8")
    tags = Tags(page).tags
    assert EVIL not in page
    assert not [tag for tag, _ in tags if tag in ("script", "iframe", "object", "link")]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert all(str(attributes["src"]).startswith("data:image/") for tag, attributes in tags if tag == "img")
    assert page.count('<article class="caption') == 4
    assert '<mark class="contradicted" title="object: cat, contradicted">cat</mark>' in page
    assert [attributes["width"] for tag, attributes in tags if tag == "rect"] == ["60.0", "50.0", "20.0"] * 2


@pytest.mark.parametrize(("least", "soft"), [(0.2, 0), (0.6, 1), (0.75, 2)])
def test_facts_that_the_captions_do_not_tell_are_grey(tmp_path: Path, least: float, soft: int) -> None:
    out = tmp_path / "artifacts" / "human_caption"
    names = ("id", "url", "short", "facts")
    schema = pa.schema([*((name, pa.string()) for name in names), ("image", IMAGE)])
    write_shard(out / shard_name(0), [captioned()], schema)
    report(out, 1, config={"human_caption": {"min_probability": least}})
    page = write_page(out, out=tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('<tr class="soft">') == soft  # the hat; the suit as well; colours are shares, told by two
    assert ">70%<" in page

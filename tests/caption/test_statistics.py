import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.caption.statistics import by_support, figures, merged, quantile, tally
from humanvlm.data.facts import NONE, Facts, Garment, Guess, Person, Thing

BOX = (0.0, 0.0, 10.0, 20.0)
WOMAN = Person(
    BOX, None, "left", "full-length",
    gender=Guess("female", 0.9, "gender"),
    headwear=Guess(NONE, 0.8, "labels"),
    garments=(Garment("upper", (Guess("red", 0.6, "mask"), Guess("blue", 0.2, "mask")), None, Guess("short", 0.7)),),
)  # fmt: skip
NOBODY = Person(BOX, None, "right", "distant")


def row(*people: Person, **changes: Any) -> dict[str, Any]:
    objects = (Thing("dog", 2, "left", 0.9, "ssd"), Thing("dog", 1, "right", 0.5, "ssd"))
    facts = Facts(10, 20, len(people), people, "even", "low", False, objects, place=Guess("outdoors", 0.9, "scene"))
    claims = [{"kind": "count", "by": "ssd"}, {"kind": "colour", "by": ""}, {"kind": "colour", "contradicted": True}]
    said = {"short": "two words", "detailed": "and three words", "captioner": "template", "split": "train"}
    checked = {"repaired": "", "replaced": "", "faithfulness": 0.95, "claims": json.dumps({"short": claims})}
    return {"facts": facts.to_json()} | said | checked | changes


TEXTS = ("short", "detailed")


def test_what_is_known_is_counted_with_what_measured_it() -> None:
    total = merged([tally([row(WOMAN, NOBODY), row(WOMAN)], TEXTS)])
    known = {"person": 3, "gender": 2, "headwear": 2, "upper colours": 2, "upper length": 2}
    assert total["known"] == known
    assert total["value upper colours"] == {"red": 2}  # the largest share
    assert total["by upper colours"] == {"mask": 2}
    assert total["value headwear"] == {"none": 2}
    assert total["value objects"] == {"dog": 2}  # pictures
    assert total["known of picture"] == {"objects": 2, "place": 2}
    assert total["people"] == {"1": 1, "2": 1}
    assert total["cells"] == {"female, unknown, full-length": 2, "unknown, unknown, distant": 1}


def test_figures() -> None:
    rows = [row(WOMAN), row(NOBODY, replaced="short: refusal, name; detailed: name", faithfulness=0.5, split="test")]
    found = figures(merged([tally(rows, TEXTS)]), TEXTS)
    assert found["short_words_mean"] == found["short_words_p95"] == 2
    assert found["detailed_words_median"] == 3
    assert found["faithfulness_below_0.8"] == found["replaced"] == found["test_mean"] == 0.5
    assert found["claims_per_row"] == 3
    assert found["repaired"] == 0
    assert [found[name] for name in ("faithfulness", "claims.unsupported", "claims.contradicted")] == [0.3333] * 3
    assert found["known.upper_colours"] == 0.5
    assert merged([tally(rows, TEXTS)])["replaced"] == {"name": 2, "refusal": 1}
    assert by_support(merged([tally(rows, TEXTS)]))["colour"] == {"supported": 0, "unsupported": 2, "contradicted": 2}


def test_an_artifact_that_was_not_checked_has_no_such_figures() -> None:
    plain = {name: value for name, value in row(WOMAN).items() if name in ("facts", *TEXTS)}
    found = figures(merged([tally([plain], TEXTS)]), TEXTS)
    assert not [name for name in found if name.startswith(("faithful", "claims", "replaced", "test"))]
    assert figures(merged([tally([], TEXTS)]), TEXTS) == {}


@given(st.lists(st.sampled_from([row(WOMAN), row(NOBODY, faithfulness=0.3), row()]), max_size=6), st.integers(0, 6))
def test_tallies_add_up_over_shards(rows: list[dict[str, Any]], cut: int) -> None:
    assert merged([tally(rows[:cut], TEXTS), tally(rows[cut:], TEXTS)]) == merged([tally(rows, TEXTS)])


def test_tallies_survive_json() -> None:
    total = tally([row(WOMAN)], TEXTS)
    assert json.loads(json.dumps(total)) == total


def test_quantiles() -> None:
    counts = {10: 1, 1: 18, 5: 1}
    assert [quantile(counts, share) for share in (0.5, 0.95, 1.0)] == [1, 5, 10]
    with pytest.raises(ValueError, match="nothing"):
        quantile({}, 0.5)

"""What sentences claim, and of whom and what."""

import pytest

from humanvlm.caption.checks.claims import find


def said(text: str) -> list[tuple[str, str, str]]:
    """(kind, value, of what) of the claims."""
    return [(claim.kind, claim.value, claim.about) for claim in find(text)]


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("Two people.", [("count", "2", "")]),
        ("A couple of women.", [("count", "2", "female"), ("gender", "female", "")]),
        ("A crowd gathers.", [("count", "4+", "")]),
        ("A red dress.", [("colour", "red", "garment whole"), ("garment", "dress", "whole")]),
        ("The dress is red.", [("garment", "dress", "whole"), ("colour", "red", "garment whole")]),
        ("She is in red.", [("gender", "female", ""), ("colour", "red", "garment any")]),
        ("A person in red on grass.", [("colour", "red", "garment any"), ("place", "grass", "")]),
        ("A person in red on the left.", [("colour", "red", "garment any"), ("position", "left", "")]),
        ("Long brown hair.", [("colour", "brown", "hair"), ("hair", "long", "")]),
        ("A mostly green background.", [("colour", "green", "background")]),
        ("Orange dominates the background.", [("colour", "orange", "")]),
        ("There is an orange on the left.", [("object", "orange", ""), ("position", "left", "orange")]),
        ("On the left is a dog.", [("position", "left", "dog"), ("object", "dog", "")]),
        ("A sign that says “STOP it”.", [("object", "traffic sign", ""), ("text", "STOP it", "")]),
        ("Even light falls on the scene.", [("light", "even", "")]),
        ("A dog runs and a man stands.", [("object", "dog", ""), ("gender", "male", ""), ("pose", "standing", "")]),
        ("The picture shows the face of someone.", []),
        ("A woman of forty.", [("gender", "female", ""), ("age", "40s", "")]),
        ("A boy aged nine.", [("gender", "male", ""), ("age", "young", ""), ("age", "child", "")]),
        ("A thirty-year-old man, 35 years old.", [("age", "30s", ""), ("gender", "male", ""), ("age", "30s", "")]),
        ("A group of four.", [("count", "4", "")]),
        ("A dog is on the left of the photo.", [("object", "dog", ""), ("position", "left", "dog")]),
        (
            "A dog is on the left of a car.",
            [("object", "dog", ""), ("relation", "left of", "car"), ("object", "car", "")],
        ),
        ("They are in a cornfield.", [("object", "cornfield", "")]),
        ("Two hour glasses and an hourglass.", [("object", "hourglass", ""), ("object", "hourglass", "")]),
        ("Two wine glasses.", [("object", "glass", "")]),
        ("Two glasses of wine.", [("object", "glass", "")]),
        ("Two swings.", [("object", "swing", "")]),
        ("It was taken in Lisbon.", [("place", "lisbon", "")]),
        ("The woman is sewing.", [("gender", "female", ""), ("activity", "sewing", "")]),
        ("The woman is posing.", [("gender", "female", "")]),
        ("The dog is barking.", [("object", "dog", "")]),
        ("A bride.", [("gender", "female", ""), ("role", "bride", "")]),
        ("The dog is a person.", [("object", "dog", ""), ("being", "any any", "")]),
    ],
)
def test_what_a_text_claims(text: str, claims: list[tuple[str, str, str]]) -> None:
    assert sorted(said(text)) == sorted(claims)


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("The man on the left wears a hat.", ("male", "left")),
        ("On the left, a man wears a hat.", ("male", "left")),
        ("Wearing a hat, the man on the left smiles.", ("male", "left")),
        ("A man stands on the left. He wears a hat.", ("male", "left")),
        ("A man is on the left of a woman. He wears a hat.", ("male", "")),
        ("The man to the left of the woman wears a hat.", ("male", "")),
        ("A woman smiles and the man on the right wears a hat.", ("male", "right")),
    ],
)
def test_of_whom_it_is_claimed(text: str, who: tuple[str, str]) -> None:
    (hat,) = [claim for claim in find(text) if claim.kind == "headwear"]
    assert (hat.who.gender, hat.who.position) == who


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("A man without a hat.", True),
        ("He is not wearing a hat.", True),
        ("She isn't smiling but wears a hat.", False),
        ("No glasses, a hat.", False),
        ("With a hat and no glasses.", False),
    ],
)
def test_what_is_denied(text: str, denied: bool) -> None:
    assert [claim.negated for claim in find(text) if claim.kind == "headwear"] == [denied]


def test_people_introduced_one_by_one_are_counted_together() -> None:
    assert ("count", "2+", "") in said("A man and a woman stand here.")
    assert ("count", "2+", "") not in said("A person who appears to be a woman stands here.")
    assert ("count", "2+", "") not in said("Five people, among them a man and a woman.")

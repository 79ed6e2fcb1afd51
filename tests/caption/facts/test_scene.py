"""What is measured of the picture as a whole: things, place, light."""

from typing import Any

import numpy as np
import pytest

from humanvlm.caption.facts import attributes, scene
from humanvlm.caption.facts.colour import averaged
from humanvlm.caption.facts.labels import vocabulary
from humanvlm.data.facts import Guess

Floats = attributes.Floats
BLANK = np.zeros((90, 100, 3), dtype=np.uint8)


def labels(**shares: float) -> Floats:
    """[1000] probabilities in which the words of a kind (``objects__dog``) share what they are given."""
    found = np.zeros(1000, dtype=np.float32)
    for key, share in shares.items():
        kind, words = key.split("__")
        numbers = vocabulary()[kind][words.replace("_", " ")]
        found[numbers] += share / len(numbers)
    return found


def detected(label: str, score: float, box: tuple[float, ...] = (10, 20, 60, 90)) -> dict[str, Any]:
    return {"label": label, "score": score, "box": list(box)}


def test_evidence_of_one_thing_adds_up() -> None:
    alone = scene.things([detected("dog", 0.6)], labels(), {}, 100)
    both = scene.things([detected("dog", 0.6)], labels(objects__dog=0.6), {}, 100)
    told = scene.things([detected("dog", 0.6)], labels(objects__dog=0.6), {"dog": 0.9}, 100)
    assert [len(found) for found in (alone, both, told)] == [1, 1, 1]
    assert alone[0].probability == pytest.approx(0.6**0.75, abs=1e-3)
    assert 0.8 < both[0].probability < told[0].probability < 1
    assert both[0].box == (10, 20, 60, 90)


def test_things_that_only_labels_or_texts_name_have_no_box() -> None:
    (dog,) = scene.things([], labels(objects__dog=0.8), {}, 100)
    assert (dog.label, dog.box, dog.source) == ("dog", None, "efficientnet-lite3")
    (rocket,) = scene.things([], labels(), {"rocket": 0.9}, 100)
    assert (rocket.label, rocket.box, rocket.source, rocket.probability) == ("rocket", None, "text", 0.9)


def test_a_wider_word_is_said_where_narrower_ones_share_the_probability() -> None:
    found = scene.things([], labels(objects__canoe=0.3, objects__speedboat=0.3, objects__ship=0.3), {}, 100)
    assert found[0].label == "boat"
    assert found[0].probability >= 0.6
    assert "boat" not in {thing.label for thing in scene.things([], labels(objects__canoe=0.9), {}, 100)}


def test_a_wider_word_speaks_for_what_was_detected() -> None:
    (alone,) = scene.things([detected("cup", 0.45)], labels(), {}, 100)
    found = scene.things([detected("cup", 0.45)], labels(objects__cup_of_coffee=0.25), {}, 100)
    cup = next(thing for thing in found if thing.label == "cup")
    assert alone.probability < scene.SAID < cup.probability


def test_a_thing_is_named_once() -> None:
    found = scene.things([detected("cup", 0.5)], labels(wider__cup=0.9), {}, 100)
    assert [thing.label for thing in found].count("cup") == 1


def test_a_tie_is_no_thing() -> None:
    assert scene.things([detected("tie", 0.9), detected("person", 0.9)], labels(), {}, 100) == ()


@pytest.mark.parametrize(
    ("evidence", "objects", "expected"),
    [
        (labels(settings__in_a_kitchen=0.6), [], "indoors"),
        (labels(settings__by_the_sea=0.5), [], "outdoors"),
        (labels(objects__dog=0.9), [detected("bus", 0.8)], "outdoors"),
        (labels(objects__dog=0.9), [detected("couch", 0.8)], "indoors"),
        (labels(objects__dog=0.9), [], None),
        (labels(settings__in_a_kitchen=0.4, settings__by_the_sea=0.4), [], None),
    ],
)
def test_place_follows_what_is_hardly_seen_elsewhere(
    evidence: Floats, objects: list[dict[str, Any]], expected: str | None
) -> None:
    guess = scene.place(objects, evidence, None)
    assert (guess and guess.value) == expected


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("on grass", "outdoors"),
        ("in front of a starry sky", "outdoors"),
        ("by the sea", "outdoors"),
        ("in a garage", "indoors"),
        ("in a kitchen", "indoors"),
        ("in front of a brick wall", None),
        ("in a restaurant", "indoors"),
        ("on a stage", "indoors"),
        ("at a railway station", None),
    ],
)
def test_a_setting_that_is_hardly_ever_elsewhere_tells_the_place(setting: str, expected: str | None) -> None:
    guess = scene.place([], labels(), Guess(setting, 0.85, "text"))
    assert (guess and (guess.value, guess.source)) == (expected and (expected, "text"))
    assert scene.place([], labels(), Guess(setting, 0.5, "text")) is None


def test_a_setting_is_of_labels_or_of_the_text_or_unknown() -> None:
    _, setting = scene.surroundings(BLANK, averaged(BLANK), [], [], labels(settings__by_the_sea=0.7), [])
    assert setting is not None
    assert (setting.value, setting.source) == ("by the sea", "efficientnet-lite3")
    _, told = scene.surroundings(BLANK, averaged(BLANK), [], [], labels(), ["A woman in front of a rocket."])
    assert told is not None
    assert (told.value, told.source) == ("in front of a rocket", "text")
    assert scene.surroundings(BLANK, averaged(BLANK), [], [], labels(), ["photo 12 of 2,310"]) == ((), None)


def test_each_view_counts_as_far_as_it_shows_what_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    views = [labels(worn__worn=0.9, objects__dog=0.1), labels(settings__by_the_sea=0.8)]
    monkeypatch.setattr(attributes, "label_probabilities", lambda rgb: views[int((rgb == scene.GREY).any())])
    evidence = scene.label_evidence(np.zeros((40, 60, 3), dtype=np.uint8), [(10, 0, 29, 39)])
    assert evidence[vocabulary()["settings"]["by the sea"]].sum() > 0.5
    assert evidence[vocabulary()["worn"]["worn"]].sum() == 0
    views[1] = labels()
    dog = scene.label_evidence(np.zeros((40, 60, 3), dtype=np.uint8), [(10, 0, 29, 39)])
    assert dog[vocabulary()["objects"]["dog"]].sum() == pytest.approx(0.1 / scene.LEAST_UNWORN, abs=0.01)


@pytest.mark.parametrize("named", [0.9, 0.05])
def test_people_who_cover_much_are_left_out_of_the_first_look(monkeypatch: pytest.MonkeyPatch, named: float) -> None:
    asked = []

    def remember(rgb: attributes.Picture) -> Floats:
        asked.append(rgb)
        return labels(settings__by_the_sea=named)

    monkeypatch.setattr(attributes, "label_probabilities", remember)
    rgb = np.full((400, 600, 3), 200, dtype=np.uint8)
    scene.label_evidence(rgb, [(300, 0, 599, 399)])
    assert len(asked) == (1 if named >= scene.NAMES_ENOUGH else 2)
    without = asked[0]
    assert without.shape == (280, 280, 3)
    assert (without[:, :139] == 200).all()
    assert (without[:, 141:] == scene.GREY).all()
    assert (rgb == 200).all()
    asked.clear()
    scene.label_evidence(rgb, [(300, 0, 400, 399)])  # most is seen
    assert (asked[0] == 200).all()
    asked.clear()
    scene.label_evidence(rgb, [(0, 0, 599, 399)])  # nothing is left outside
    scene.label_evidence(rgb, [])
    assert [(seen == 200).all() for seen in asked] == [True] * 2


def test_a_detection_is_called_what_the_labels_clearly_see_of_its_kind() -> None:
    (one,) = scene.relabelled([detected("motorcycle", 0.9)], labels(objects__bicycle=0.5, objects__motorcycle=0.02))
    assert one["label"] == "bicycle"
    for evidence in (labels(objects__bicycle=0.5, objects__motorcycle=0.2), labels(objects__dog=0.9), labels()):
        assert scene.relabelled([detected("motorcycle", 0.9)], evidence)[0]["label"] == "motorcycle"
    two = [detected("motorcycle", 0.9), detected("bicycle", 0.5)]  # where the labels see a little of both, both stay
    assert scene.relabelled(two, labels(objects__bicycle=0.5, objects__motorcycle=0.03)) == two
    assert {one["label"] for one in scene.relabelled(two, labels(objects__bicycle=0.5))} == {"bicycle"}


def test_a_thing_has_the_colour_that_fills_its_middle() -> None:
    rgb = np.zeros((100, 200, 3), dtype=np.uint8)
    rgb[:, :100] = (200, 30, 30)
    (car,) = scene.things([detected("car", 0.9, (0, 0, 99, 99))], labels(), {}, 200)
    colour = scene.colour_of(rgb, car, [])
    assert colour is not None
    assert (colour.value, colour.probability) == ("red", 1.0)
    assert scene.colour_of(rgb, car, [(10, 10, 90, 90)]) is None  # covered by a person
    (half,) = scene.things([detected("car", 0.9, (50, 0, 150, 99))], labels(), {}, 200)
    assert scene.colour_of(rgb, half, []) is None
    (bicycle,) = scene.things([detected("bicycle", 0.9, (0, 0, 99, 99))], labels(), {}, 200)
    assert scene.colour_of(rgb, bicycle, []) is None  # one sees through it

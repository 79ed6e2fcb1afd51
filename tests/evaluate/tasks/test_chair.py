"""CHAIR against numbers worked out by hand."""

from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.chair import named_objects, read_objects, read_pictures, score_files

from ..publishers import chair, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(chair(tmp_path)["references"])


def scored(folder: Path, captions: dict[int, str], **given: Any) -> Any:
    rows = [{"image_id": key, "caption": text} for key, text in captions.items()]
    return score_files(folder, write(folder.parent / "captions.json", rows), **given)


def test_what_is_there_is_outlined_or_in_a_caption(folder: Path) -> None:
    found = {shown.image: set(shown.there) for shown in read_pictures(folder)}
    assert found == {"7": {"person", "tie"}, "8": {"train"}, "9": {"toilet"}}


def test_captions(folder: Path) -> None:
    found = scored(folder, {7: "Two women with ties on chairs.", 8: "A passenger train with hot dogs.", 9: "A view."})
    assert found.scores["chair_i"] == pytest.approx(2 / 5)  # chair of person, tie, chair; hot dog of train, hot dog
    assert found.scores["chair_s"] == pytest.approx(2 / 3)
    assert found.scores["faithful"] == pytest.approx(3 / 5)
    assert found.per_sample["hallucinated"] == [["chair"], ["hot dog"], []]
    assert found.counts == {"missing": 0, "no_object": 1}


def test_pictures_without_a_caption(folder: Path) -> None:
    said = {7: "A man.", 8: "<think>a man? a train</think>A train."}
    assert scored(folder, said).scores["chair_s"] == 0
    whole = scored(folder, said, allow_missing=True)
    assert whole.scores["chair_s"] == pytest.approx(1 / 3)
    assert whole.counts["missing"] == 1
    with pytest.raises(UserError, match="id 5 is not in the instances"):
        scored(folder, {5: "A man."})


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("A baby bear, no child.", ["bear", "person"]),
        ("Passengers board the passenger train.", ["train"]),
        ("The seat of the toilet, a toilet seat.", ["toilet", "toilet"]),
        ("A seat and two stools.", ["chair", "chair"]),
        ("Home plates, dishes.", ["plate"]),
        ("Bow ties and HOT DOGS", ["tie", "hot dog"]),
        ("A dog.", []),
    ],
)
def test_two_words_may_be_one_object(folder: Path, caption: str, named: list[str]) -> None:
    assert named_objects(caption, read_objects(folder / "synonyms.txt", ["bear"])) == named


def test_what_is_missing_or_malformed_is_named(folder: Path) -> None:
    write(folder / "synonyms.txt", "person, man\n")
    with pytest.raises(UserError, match=r"synonyms.txt: no line has 'train'"):
        read_pictures(folder)
    write(folder / "synonyms.txt", "\n")
    with pytest.raises(UserError, match=r"synonyms.txt: no words"):
        read_pictures(folder)
    (folder / "captions_val.json").unlink()
    with pytest.raises(UserError, match=r"no captions_\*.json; put COCO's annotations and synonyms.txt"):
        read_pictures(folder)

"""A model's own words for questions."""

from pathlib import Path

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.base import Sample
from humanvlm.evaluate.wording import reworded

ASKED = Sample("1", "refcoco", "a", Path("a.jpg"), "Where is he? Answer with a box.", ("[1, 2, 3, 4]",), subject="he")
BARE = Sample("2", "refcoco", "a", Path("a.jpg"), "Describe this image.", ("a",))


def test_the_task_comes_before_its_kind() -> None:
    templates = {"rec": "Locate {subject} as {{json}}.", "refcoco": "{prompt} In pixels: {subject}"}
    of_task = reworded([ASKED, BARE], templates, "refcoco", "rec")
    assert [sample.prompt for sample in of_task] == [
        "Where is he? Answer with a box. In pixels: he",
        "Describe this image. In pixels: Describe this image.",
    ]
    assert reworded([ASKED], templates, "other", "rec")[0].prompt == "Locate he as {json}."
    assert reworded([ASKED], templates, "other", "pope") == [ASKED]
    assert of_task[0].key != ASKED.key


@pytest.mark.parametrize("template", ["{expression}", "{", "{0}", "{prompt.none}"])
def test_other_fields_are_refused_in_one_line(template: str) -> None:
    with pytest.raises(UserError, match=r"benchmark_scores.asked: the prompt of rec \(") as error:
        reworded([ASKED], {"rec": template}, "rec", "rec")
    assert "\n" not in str(error.value)

"""A picture keeps all its patches, or is not exported."""

from pathlib import Path

import pytest

from humanvlm.data.atomic_io import write_json
from humanvlm.errors import UserError
from humanvlm.model.parity import refuse_dropped_patch, refuse_dropped_patch_of


@pytest.mark.parametrize(("strategy", "class_tokens"), [("full", 0), ("full", 1), ("default", 1)])
def test_whole_pictures_pass(strategy: str, class_tokens: int) -> None:
    refuse_dropped_patch(strategy, class_tokens, "here")


def test_a_real_patch_that_is_dropped_is_one_line(tmp_path: Path) -> None:
    described = {"vision_feature_select_strategy": "default", "num_additional_image_tokens": 0}
    write_json(tmp_path / "processor_config.json", described)
    with pytest.raises(UserError, match=r"drop_first_patch to false .*stage1_checkpoint") as error:
        refuse_dropped_patch_of(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(error.value)


def test_other_checkpoints_pass(tmp_path: Path) -> None:
    refuse_dropped_patch_of(tmp_path)
    write_json(tmp_path / "processor_config.json", {"processor_class": "LlavaProcessor"})
    refuse_dropped_patch_of(tmp_path)

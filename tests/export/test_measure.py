"""What a card says of an export's agreement: pictures of the right split, and nothing that was not measured."""

from pathlib import Path

import pytest

from humanvlm.export import llamacpp
from humanvlm.export.agreement import Agreement
from humanvlm.export.measure import NO_PICTURES, NO_RUNTIME, agreement, held_out, told

from .small_artifact import make


def test_the_first_pictures_of_the_test_split(tmp_path: Path) -> None:
    make(tmp_path, "human_caption")
    found = held_out(tmp_path, 50)
    assert [picture.getpixel((3, 3))[0] // 40 for picture in found] == [2, 5]  # type: ignore[index]
    assert len(held_out(tmp_path, 1)) == 1
    assert held_out(tmp_path, 0) == []


def test_what_was_not_measured_has_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llamacpp, "had", lambda: True)
    assert agreement(tmp_path, tmp_path, tmp_path, []) == NO_PICTURES
    monkeypatch.setattr(llamacpp, "had", lambda: False)
    assert agreement(tmp_path, tmp_path, tmp_path, []) == NO_RUNTIME


def test_the_table_has_the_figures_that_were_found() -> None:
    pytest.importorskip("xllamacpp", reason="needs llama.cpp: pip install 'humanvlm[llamacpp]'")
    found = Agreement(50, 49, 0.01234, checkpoint_seconds=10, seconds=5, checkpoint_tokens=100, tokens=150)
    text = told({"pictures": found, "text": Agreement(4, 4, None, 1, 1, 2, 3)}, 224)
    assert "| pictures | 50 | 49 | 0.0123 | 30.0 | 10.0 |" in text
    assert "| text | 4 | 4 |  | 3.0 | 2.0 |" in text
    assert "224x224" in text

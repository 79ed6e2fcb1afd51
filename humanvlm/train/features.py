"""What a frozen vision tower says of every picture, computed once: the tower then costs a training step nothing.

    if worth_keeping(store, llava):  # the tower learns nothing, there is no GPU, and there is room
        look = kept_features(store, llava, processor.image_processor, rank, world, barrier)
    look(store.pictures(i))  # {"features": [n, T, D]}, as humanvlm.train.batches.Pixels gives pixel_values

The features are in HUMANVLM_CACHE, by the sha256 of a picture's bytes, in a folder for the tower, its preprocessing and
the layer that is taken: the stages, their sources and later runs share them. They are float16 (which moves the
loss of a sample by 1e-5 of it; bfloat16 by 8e-5), or float32 where a value is too large for that. Safe to delete.
"""

import functools
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from humanvlm.data.atomic_io import atomic_file, make_folder, write_json
from humanvlm.model.language import cache_folder
from humanvlm.train.pictures import Pictures
from humanvlm.train.samples import Picture
from humanvlm.train.store import Store

MOST = 16 << 30  # bytes of features of a run that are kept
TOGETHER = 16  # pictures that the tower gets at a time
PART = 64  # pictures in a file


@dataclass(frozen=True)
class Features:
    """The features of pictures, mapped. places: file and row of each picture; shape: [T, D] of one."""

    places: Mapping[Picture, tuple[Path, int]]
    shape: tuple[int, int]

    def __call__(self, pictures: Sequence[Picture] | None) -> dict[str, torch.Tensor]:
        """``features`` [n, T, D] of n pictures; of ``None``, zeros of one."""
        if pictures is None:
            return {"features": torch.zeros((1, *self.shape), dtype=torch.float16)}
        found = [_mapped(path)[row] for path, row in (self.places[one] for one in pictures)]
        return {"features": torch.from_numpy(np.stack(found))}


@functools.lru_cache(maxsize=4096)
def _mapped(path: Path) -> NDArray[Any]:
    """[PART, T, D]; opening a file takes ten times as long as reading a row."""
    found: NDArray[Any] = np.load(path, mmap_mode="r")
    return found


def worth_keeping(store: Store, llava: Any) -> bool:
    """Whether features are to be kept: of a tower that learns nothing, without a GPU, which computes them faster than
    a disk gives them, and when they are not more than MOST bytes."""
    frozen = not any(parameter.requires_grad for parameter in llava.model.vision_tower.parameters())
    size = 2 * llava.config.image_seq_length * llava.model.multi_modal_projector.linear_1.in_features
    return frozen and not torch.cuda.is_available() and size * len(store.every_picture()) <= MOST


def kept_features(
    store: Store, llava: Any, image_processor: Any, rank: int, world: int, barrier: Callable[[], None]
) -> Features:
    """The features of all pictures of a store; what is not kept yet is computed, each process its share of it.

    llava: in float32. barrier: returns when all processes have called it. Raises UserError naming a picture that cannot
    be read.
    """
    folder = cache_folder() / "features" / tower_digest(llava, image_processor)[:32]
    make_folder(folder)
    pictures = store.every_picture()
    read = Pictures(image_processor.size)
    keys = [hashlib.sha256(read.content(one)).hexdigest() for one in pictures]
    kept = _kept(folder)
    every = list(dict(zip(keys, pictures, strict=True)).items())
    # The shares are of all pictures: what is kept changes while others work.
    for part in [every[at : at + PART] for at in range(0, len(every), PART)][rank::world]:
        if missing := [(key, one) for key, one in part if key not in kept]:
            _compute(folder, missing, read, llava, image_processor)
    barrier()
    kept = _kept(folder)
    shape = (llava.config.image_seq_length, llava.model.multi_modal_projector.linear_1.in_features)
    return Features({one: kept[key] for key, one in zip(keys, pictures, strict=True)}, shape)


def tower_features(llava: Any, pixel_values: torch.Tensor) -> torch.Tensor:
    """[n, T, D]: what the projector gets of pixel_values [n, 3, H, W], as LLaVA's ``get_image_features`` selects it."""
    layers, strategy = llava.config.vision_feature_layer, llava.config.vision_feature_select_strategy
    first = 1 if strategy == "default" else 0
    states = llava.model.vision_tower(pixel_values, output_hidden_states=True, return_dict=True).hidden_states
    taken = [states[layer][:, first:] for layer in ([layers] if isinstance(layers, int) else layers)]
    return torch.cat(taken, dim=-1)


def tower_digest(llava: Any, image_processor: Any) -> str:
    """sha256 of all that decides on features: weights, layer, preprocessing."""
    config = llava.config
    about = (
        config.vision_config.to_json_string(),
        image_processor.to_json_string(),
        config.vision_feature_layer,
        config.vision_feature_select_strategy,
    )
    total = hashlib.sha256(json.dumps(about).encode())
    for name, value in sorted(llava.model.vision_tower.state_dict().items()):
        total.update(name.encode())
        total.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _kept(folder: Path) -> dict[str, tuple[Path, int]]:
    """Where the features of pictures are, by their keys; a file counts once its list of keys is there."""
    return {
        key: (listing.with_suffix(".npy"), row)
        for listing in sorted(folder.glob("*.json"))
        for row, key in enumerate(json.loads(listing.read_text(encoding="utf-8")))
    }


def _compute(
    folder: Path, part: Sequence[tuple[str, Picture]], read: Pictures, llava: Any, image_processor: Any
) -> None:
    values = np.concatenate(list(_features(part, read, llava, image_processor)))
    if np.abs(values).max() <= np.finfo(np.float16).max:
        values = values.astype(np.float16)
    path = folder / f"{secrets.token_hex(8)}.npy"  # other runs may write here too
    with atomic_file(path) as work, work.open("wb") as file:
        np.save(file, values)
    write_json(path.with_suffix(".json"), [key for key, _ in part])


def _features(
    part: Sequence[tuple[str, Picture]], read: Pictures, llava: Any, image_processor: Any
) -> Iterator[NDArray[np.float32]]:
    for at in range(0, len(part), TOGETHER):
        images = [read.read(one) for _, one in part[at : at + TOGETHER]]
        with torch.inference_mode():
            yield tower_features(llava, image_processor(images, return_tensors="pt")["pixel_values"]).numpy()

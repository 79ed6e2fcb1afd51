"""Estimates: operations by part, memory by how it is shared."""

from humanvlm.config.model import Model
from humanvlm.model.build import build_llava
from humanvlm.train.costs import Sizes
from humanvlm.train.model import projector_only


def test_operations_and_memory_follow_the_formula(tiny_models: dict[str, str]) -> None:
    model = projector_only(build_llava(Model(**tiny_models))[0])
    sizes = Sizes.of(model)
    assert sizes.trained == sizes.projector == 32 * 32 + 32 + 32 * 32 + 32
    assert (sizes.layers, sizes.width, sizes.picture) == (2, 32, 16)
    once = sizes.operations(100, 10, 32, length=50, tower_learns=False)
    attention = 8 * 2 * 32 * 25 * 100
    wanted = 4 * sizes.language * 100 + 4 * sizes.head * 10 + 2 * sizes.tower * 32 + 6 * sizes.projector * 32
    assert once == wanted + attention + 2 * sizes.trained * 100
    assert sizes.operations(100, 10, 32, length=50, tower_learns=True) == once + 2 * sizes.tower * 32
    alone = sizes.memory(100, world=1, zero=2, half=False, checkpointing=False)
    assert alone > sizes.memory(100, world=4, zero=2, half=False, checkpointing=False)
    assert sizes.memory(100, 4, 3, False, False) < sizes.memory(100, 4, 2, False, False)
    assert sizes.memory(100, 1, 2, True, False) < alone
    assert sizes.memory(100, 1, 2, False, True) < alone

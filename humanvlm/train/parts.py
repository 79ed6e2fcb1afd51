"""The parts of a LLaVA: which parameter belongs to which, and how many of each learn."""

from typing import Any

PARTS = {"projector": "multi_modal_projector", "vision_tower": "vision_tower", "language_model": ""}


def plain(model: Any) -> Any:
    """The LLaVA itself, of which peft may have changed modules in place."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def part_of(name: str) -> str:
    """The part that a parameter belongs to: ``projector``, ``vision_tower`` or ``language_model``."""
    return next(part for part, mark in PARTS.items() if mark in name)


def trained_by_part(model: Any) -> dict[str, int]:
    """How many parameters learn, by part."""
    counts = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            counts[part_of(name)] += parameter.numel()
    return {part: count for part, count in counts.items() if count}

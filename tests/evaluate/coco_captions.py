"""The 1,000 pairs of captions with the tokens and scores of the reference implementation, beside the checkout."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Tokens = list[list[str]]


@dataclass(frozen=True)
class Pairs:
    """Of each picture: id, candidate and references, their tokens, and the reference's scores by its own names."""

    ids: Sequence[str]
    candidates: Sequence[str]
    references: Sequence[Sequence[str]]
    candidate_tokens: Tokens
    reference_tokens: Sequence[Tokens]
    scores: dict[str, float]
    per_image: Sequence[dict[str, float]]


def load_pairs(shared: Path) -> Pairs:
    pairs, tokens, expected = (_load(shared, name) for name in ("pairs", "ptb_tokens", "expected"))
    ids = list(pairs)
    return Pairs(
        ids,
        [pairs[key]["candidate"] for key in ids],
        [pairs[key]["references"] for key in ids],
        [tokens[key]["candidate"][0].split() for key in ids],
        [[text.split() for text in tokens[key]["references"]] for key in ids],
        expected["scores"],
        [expected["per_image"][key] for key in ids],
    )


def _load(shared: Path, name: str) -> Any:
    with gzip.open(shared / "benchmarks" / "captions" / f"human_1000_{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)

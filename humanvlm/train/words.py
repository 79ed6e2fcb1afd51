"""A projector that begins with words: its hidden units are detectors of words, its output their embeddings.

A new projector says noise to the language model, and finding out of gradients through a frozen model which word a
feature means costs most of stage 1. Captions tell it directly: a word of a picture's texts is somewhere in the picture.
So one linear detector a word is learnt from a frozen tower's features by multiple-instance learning (Fang et al. 2015,
arXiv 1411.4952), which costs no pass through the language model, and written into the two-layer GELU projector: the
first layer detects, the second adds up the embeddings of what was detected. Where the tower has channels of rows and
columns, they are written as the words of sides. A box in a text tells where its edges are, which is detected and said
in the same way: by a side and the tens of its place ("left 3"). Training goes on from there. Stage 2, whose texts say
more, adds their words and edges in hidden units that say nothing yet.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from humanvlm.data.prompts import BOX
from humanvlm.train.samples import Picture
from humanvlm.train.store import Store

WORD = re.compile(r"[^\W\d_]{3,}")
LEAST_PICTURES = 50  # fewer teach no detector
MOST_PICTURES = 20_000
RARE, COMMON = 5, 0.9  # words in fewer pictures than that, or in a larger share of them, tell nothing
BATCH = 64
LOOK = 25  # steps between two looks at the pictures held out
SHARPNESS = 2.0  # of the soft maximum over the cells of a picture
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.1
SIDES = (("top", "middle", "bottom"), ("left", "middle", "right"))  # of rows, of columns
EDGES = ("left", "top", "right", "bottom")  # of a box, in the order of its numbers
PLACE = 0.5  # length of a place's words, relative to what is seen there
EDGE = 0.5  # length of the words of edges, relative to a token's embedding
NOISE = 1e-3  # of the weights that no detector takes, so that they can learn


# A frozen tower's features of pictures, given by their numbers: [n, T, D] float32.
Features = Callable[[Sequence[int]], torch.Tensor]


@dataclass(frozen=True)
class Detectors:
    """Linear detectors on a tower's features: the log odds of ``words[w]`` in a cell are ``weight[w] @ cell + bias[w]``
    above those of the word anywhere. gain: how many nats a picture each saves on pictures not learnt from."""

    words: tuple[str, ...]
    weight: torch.Tensor  # [W, D]
    bias: torch.Tensor  # [W]
    gain: torch.Tensor  # [W]
    alone: torch.Tensor  # [W]: 1 for a word said independently of the others, 1/n for one of n that are said together


def words_of(text: str) -> set[str]:
    """Words of three letters or more, in lower case."""
    return set(WORD.findall(text.lower()))


def edges_of(text: str) -> set[str]:
    """Where the edges of the boxes in a text are: ``left 3`` for one between 30 and 39 hundredths of the width."""
    return {f"{edge} {int(place) // 10}" for box in BOX.findall(text) for edge, place in zip(EDGES, box, strict=True)}


def learn_detectors(
    features: Features, documents: Sequence[set[str]], limit: int, steps: int, seed: int, known: Collection[str] = ()
) -> Detectors | None:
    """The ``limit`` best detectors of words of ``documents`` (the words said of each picture), best first.

    A tenth of the pictures is held out: each word's detector is the one that saves most there, of those seen while
    learning; those that save nothing are left out, as are those of words that are ``known``. None when there are too
    few pictures, or no detector is left.
    """
    random = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(documents), generator=random)[:MOST_PICTURES].tolist()
    words = [word for word in _candidates([documents[picture] for picture in chosen], 2 * limit) if word not in known]
    if len(chosen) < LEAST_PICTURES or not words:
        return None
    said = _said([documents[picture] for picture in chosen], words)
    tenth = max(1, len(chosen) // 10)
    some = features(chosen[: min(len(chosen), 4 * BATCH)])
    mean, scale = some.mean((0, 1)), some.std((0, 1)) + 1e-3
    prior = torch.logit(said[tenth:].mean(0).clamp(1e-3, 1 - 1e-3))
    weight = torch.zeros(len(words), some.shape[-1], requires_grad=True)
    bias = prior.clone().requires_grad_(True)
    optimizer = torch.optim.AdamW([weight, bias], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    # A word that few pictures say is learnt by heart long before one that all styles of text say: each stops by itself.
    gain = torch.full((len(words),), -math.inf)
    kept = torch.zeros_like(weight), torch.zeros_like(bias)
    for step in range(1, steps + 1):
        with torch.enable_grad():
            rows = tenth + torch.randint(len(chosen) - tenth, (BATCH,), generator=random)
            cells = (features([chosen[row] for row in rows.tolist()]) - mean) / scale
            loss = functional.binary_cross_entropy_with_logits(_anywhere(cells, weight, bias), said[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if step % LOOK and step < steps:
            continue
        with torch.no_grad():
            now = torch.zeros(len(words))
            for start in range(0, tenth, BATCH):
                part = slice(start, min(start + BATCH, tenth))
                cells = (features(chosen[part]) - mean) / scale
                now += _gain(cells, weight, bias, prior, said[part]) / tenth
            better = now > gain
            gain = torch.where(better, now, gain)
            for best, value in zip(kept, (weight, bias), strict=True):
                best[better] = value[better]
    with torch.no_grad():
        weight, bias = kept
        best = gain.argsort(descending=True, stable=True)[:limit]
        best = best[gain[best] > 0]
        if not len(best):
            return None
        learnt = weight[best] / scale
        return Detectors(
            tuple(words[index] for index in best.tolist()),
            learnt,
            bias[best] - learnt @ mean - prior[best],
            gain[best],
            _alone(said[:, best]),
        )


def _alone(said: torch.Tensor) -> torch.Tensor:
    """Of each word (columns): one over the sum of its squared correlations with all, itself included."""
    moved = functional.normalize(said - said.mean(0), dim=0)
    return 1 / (moved.T @ moved).square().sum(1)


def _candidates(documents: Sequence[set[str]], limit: int) -> list[str]:
    """The commonest words that are neither rare nor in nearly every picture."""
    counts = Counter(word for words in documents for word in sorted(words))
    kept = [(count, word) for word, count in counts.items() if RARE <= count <= COMMON * len(documents)]
    return [word for _, word in sorted(kept, key=lambda pair: (-pair[0], pair[1]))[:limit]]


def _said(documents: Sequence[set[str]], words: Sequence[str]) -> torch.Tensor:
    """[documents, words] float32: 1 where a word is said."""
    column = {word: number for number, word in enumerate(words)}
    said = torch.zeros(len(documents), len(words))
    for row, document in enumerate(documents):
        said[row, [column[word] for word in document if word in column]] = 1
    return said


def _anywhere(cells: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Log odds [B, W] that a picture shows each word: a soft maximum over its cells [B, T, D]."""
    odds = SHARPNESS * (cells @ weight.T + bias)
    return (torch.logsumexp(odds, 1) - math.log(cells.shape[1])) / SHARPNESS


def _gain(
    cells: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, prior: torch.Tensor, said: torch.Tensor
) -> torch.Tensor:
    """[W]: how many nats the detectors save on these pictures together."""
    loss = functional.binary_cross_entropy_with_logits
    plain = loss(prior.expand_as(said), said, reduction="none")
    return (plain - loss(_anywhere(cells, weight, bias), said, reduction="none")).sum(0)


Pieces = Callable[[str], Sequence[int]]  # a word's token ids, as it stands inside a sentence


@torch.no_grad()
def write_detectors(
    projector: Any,
    detectors: Detectors,
    cells: torch.Tensor,
    embeddings: torch.Tensor,
    pieces: Pieces,
    places: int,
    seed: int,
) -> None:
    """Write detectors into a projector: ``linear_1`` [H, D], GELU, ``linear_2`` [E, H] with H >= the detectors.

    cells: some features [N, T, D], which set the scale: a projected cell is as long as a token's embedding is on
    average. embeddings [V, E]: the language model's. places: how many of the last channels tell rows and columns, half
    of them each; they take hidden units of their own.
    """
    first, second, count = projector.linear_1, projector.linear_2, len(detectors.words)
    random = torch.Generator().manual_seed(seed)
    for parameter in projector.parameters():
        parameter.copy_(NOISE * torch.randn(parameter.shape, generator=random))
    _write(projector, detectors, cells, word_meanings(detectors, embeddings, pieces), 0)
    seen = projector(cells).norm(dim=-1).mean()
    for axis, sides in enumerate(SIDES if places else ()):
        ends, at = _meanings(sides, embeddings, pieces), count + places // 2 * axis
        for number, word in enumerate(_between(ends - ends.mean(0), places // 2)):
            first.weight[at + number] = 0
            first.weight[at + number, number - places + places // 2 * axis] = 1
            second.weight[:, at + number] = PLACE * seen * functional.normalize(word, dim=0)
    length = embeddings.float().norm(dim=1).mean() / projector(cells).norm(dim=-1).mean()
    second.weight.mul_(length)
    second.bias.copy_(_meanings(detectors.words, embeddings, pieces).mean(0))


@torch.no_grad()
def add_detectors(
    projector: Any, detectors: Detectors, cells: torch.Tensor, says: torch.Tensor, length: float, at: int
) -> None:
    """Write detectors into the hidden units from ``at`` on. says [W, E]: what each adds to a cell that it fires in;
    all together they are scaled so that what they add to a projected cell is ``length`` long on average."""
    before = projector(cells)
    _write(projector, detectors, cells, says, at)
    added = (projector(cells) - before).norm(dim=-1).mean()
    projector.linear_2.weight[:, at : at + len(says)] *= length / added


def _write(projector: Any, detectors: Detectors, cells: torch.Tensor, says: torch.Tensor, at: int) -> None:
    units = slice(at, at + len(says))
    spread = (cells @ detectors.weight.T + detectors.bias).std()
    projector.linear_1.weight[units] = detectors.weight / spread
    projector.linear_1.bias[units] = detectors.bias / spread
    projector.linear_2.weight[:, units] = says.T


def _strength(detectors: Detectors) -> torch.Tensor:
    """[W, 1]: words that are said together say one thing: they share its strength, or would drown those alone."""
    return (detectors.alone / detectors.alone.mean())[:, None]


def word_meanings(detectors: Detectors, embeddings: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    """[W, E]: by how much the embedding of each detector's word differs from their mean."""
    words = _meanings(detectors.words, embeddings, pieces)
    return (words - words.mean(0)) * _strength(detectors)


def edge_meanings(detectors: Detectors, embeddings: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    """[W, E]: of each edge, the direction of its side among sides and that of its number among numbers."""
    sides = _directions(EDGES, embeddings, pieces)
    tens = _directions([str(number) for number in range(11)], embeddings, pieces)
    told = [edge.split() for edge in detectors.words]
    return torch.stack([sides[EDGES.index(side)] + tens[int(number)] for side, number in told])


def _directions(words: Sequence[str], embeddings: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    """[words, E], each 1 long: away from the mean of their embeddings."""
    meanings = _meanings(words, embeddings, pieces)
    return functional.normalize(meanings - meanings.mean(0), dim=1)


def _meanings(words: Sequence[str], embeddings: torch.Tensor, pieces: Pieces) -> torch.Tensor:
    """[words, E]: the mean of the embeddings of each one's tokens."""
    return torch.stack([embeddings[list(pieces(word))].float().mean(0) for word in words])


def _between(points: torch.Tensor, count: int) -> torch.Tensor:
    """``count`` points evenly along the line through ``points`` [N, E]."""
    along = torch.linspace(0, len(points) - 1, count)
    before = along.floor().clamp(max=len(points) - 2).long()
    share = (along - before)[:, None]
    return points[before] * (1 - share) + points[before + 1] * share


def begin_with_words(
    llava: Any,
    tokenizer: Any,
    store: Store,
    cells: Callable[[Sequence[Picture]], torch.Tensor],
    steps: int,
    seed: int,
    known: Collection[str] = (),
) -> dict[str, Any]:
    """Write detectors of the words that a store's samples learn to say, and of the edges of boxes that they tell of,
    into a LLaVA's projector.

    cells: the tower's features [n, T, D] of n pictures, float32. known: words that the projector has begun with
    already, which stay as they are; others are added to them. Returns the new words and edges, best first, with what
    each saves (nats a picture); none when there are too few pictures, and the projector is as it was.
    """
    said, placed = _told(tokenizer, store, seed)
    projector, embeddings = llava.model.multi_modal_projector, llava.get_input_embeddings().weight.detach()
    length = float(embeddings.float().norm(dim=1).mean())
    side = getattr(llava.config.vision_config, "places", 0)
    hidden, at = projector.linear_1.out_features, len(known) + 2 * side

    def pieces(word: str) -> Sequence[int]:
        found: list[int] = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
        return found

    def learn(told: Mapping[Picture, set[str]]) -> tuple[Detectors | None, torch.Tensor]:
        shown = list(told)

        @torch.no_grad()  # the tower may learn, but not from this
        def features(numbers: Sequence[int]) -> torch.Tensor:
            return cells([shown[number] for number in numbers])

        if hidden <= at or not shown:
            return None, torch.empty(0)
        found = learn_detectors(features, list(told.values()), hidden - at, steps, seed, known)
        return found, features(range(min(len(shown), 4 * BATCH)))

    words, some = learn(said)
    if words is None:
        return {}
    if known:
        add_detectors(projector, words, some, word_meanings(words, embeddings, pieces), length, at)
    else:
        write_detectors(projector, words, some, embeddings, pieces, 2 * side, seed)
    at += len(words.words)
    edges, some = learn(placed)
    if edges is not None:
        add_detectors(projector, edges, some, edge_meanings(edges, embeddings, pieces), EDGE * length, at)
    return {
        word: saved
        for found in (words, edges)
        if found is not None
        for word, saved in zip(found.words, found.gain.tolist(), strict=True)
    }


def _told(tokenizer: Any, store: Store, seed: int) -> tuple[dict[Picture, set[str]], dict[Picture, set[str]]]:
    """Of pictures that samples show alone: the words that are learnt about each, and the edges of its boxes, of those
    that have any, asked about or learnt."""
    said: dict[Picture, set[str]] = {}
    placed: dict[Picture, set[str]] = {}
    order = np.random.default_rng(seed).permutation(len(store))[:MOST_PICTURES].tolist()
    for sample in order:
        pictures = store.pictures(sample)
        if len(pictures) == 1:
            tokens = store.tokens(sample)
            learnt = [tokens[start:stop] for start, stop in store.spans(sample)]
            said.setdefault(pictures[0], set()).update(words_of(tokenizer.decode(np.concatenate(learnt))))
            if edges := edges_of(tokenizer.decode(tokens)):
                placed.setdefault(pictures[0], set()).update(edges)
    return said, placed

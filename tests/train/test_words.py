"""Word detectors, and a projector that begins with them."""

import torch

from humanvlm.data.prompts import format_box
from humanvlm.train.words import (
    Detectors,
    add_detectors,
    edge_meanings,
    edges_of,
    learn_detectors,
    word_meanings,
    words_of,
    write_detectors,
)

WORDS = ("hat", "dog", "tree", "boat")
DIM, CELLS = 24, 9


class Projector(torch.nn.Module):
    """LLaVA's: two layers with GELU between."""

    def __init__(self, read: int, hidden: int, write: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = torch.nn.Linear(read, hidden), torch.nn.Linear(hidden, write)

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear_2(torch.nn.functional.gelu(self.linear_1(cells)))
        return out


def world(pictures: int, seed: int = 0) -> tuple[torch.Tensor, list[set[str]]]:
    """Pictures whose words stand in one cell each, as a direction of that word; ``the`` is said of all."""
    random = torch.Generator().manual_seed(seed)
    directions = 4 * torch.eye(len(WORDS), DIM)
    features = torch.randn(pictures, CELLS, DIM, generator=random)
    documents = []
    for picture in range(pictures):
        shown = [index for index in range(len(WORDS)) if torch.rand((), generator=random) < 0.4]
        for index in shown:
            features[picture, int(torch.randint(CELLS, (), generator=random))] += directions[index]
        coin = {"noise"} if torch.rand((), generator=random) < 0.5 else set()
        documents.append({WORDS[index] for index in shown} | {"the"} | coin)
    return features, documents


def learnt(limit: int = 8, seed: int = 1) -> tuple[Detectors | None, torch.Tensor]:
    features, documents = world(400)
    return learn_detectors(lambda pictures: features[list(pictures)], documents, limit, 200, seed), features


def test_words_are_letters_in_lower_case() -> None:
    assert words_of("A HAT, two red-haired men; 3D's été") == {"hat", "two", "red", "haired", "men", "été"}


def test_edges_are_sides_with_the_tens_of_their_places() -> None:
    box = format_box([9, 96, 199, 200], 200, 200)
    assert edges_of(f"Where is the man? {box} and [1, 2]") == {"left 0", "top 4", "right 10", "bottom 10"}
    assert edges_of("[0, 12, 101, 100] no box [1,2,3,4]") == set()


def test_edges_of_one_side_differ_in_their_numbers_and_of_one_number_in_their_sides() -> None:
    words = ("left 3", "left 4", "right 3")
    found = Detectors(words, torch.zeros(3, 2), torch.zeros(3), torch.ones(3), torch.ones(3))
    ids = {word: [index] for index, word in enumerate(("left", "top", "right", "bottom", *map(str, range(11))))}
    embeddings = torch.eye(len(ids))
    says = edge_meanings(found, embeddings, ids.__getitem__)
    near = torch.nn.functional.cosine_similarity(says[:, None], says[None], dim=2)
    assert near[0, 1] > near[1, 2]
    assert near[0, 2] > near[1, 2]


def test_detectors_are_of_what_is_seen_and_best_first() -> None:
    found, _ = learnt()
    assert found is not None
    assert set(WORDS) <= set(found.words)
    assert "the" not in found.words  # said of every picture
    assert set(found.words[: len(WORDS)]) == set(WORDS)  # a coin's word saves nothing worth a place before these
    assert (found.gain > 0).all()
    assert (found.gain.diff() <= 0).all()


def test_no_more_detectors_than_asked_for() -> None:
    found, _ = learnt(limit=2)
    assert found is not None
    assert len(found.words) == 2


def test_words_that_are_known_are_not_learnt_again() -> None:
    features, documents = world(400)
    found = learn_detectors(lambda pictures: features[list(pictures)], documents, 8, 100, 1, ("hat", "boat"))
    assert found is not None
    assert {"dog", "tree"} <= set(found.words)
    assert not {"hat", "boat"} & set(found.words)


def test_a_word_stops_before_it_is_learnt_by_heart() -> None:
    random = torch.Generator().manual_seed(0)
    features, documents = world(100)
    wide = torch.cat([features, torch.randn(100, CELLS, 400, generator=random)], 2)  # room to learn by heart

    def gain(steps: int) -> dict[str, float]:
        found = learn_detectors(lambda pictures: wide[list(pictures)], documents, 8, steps, 1)
        assert found is not None
        return dict(zip(found.words, found.gain.tolist(), strict=True))

    short, long = gain(100), gain(500)
    assert all(long[word] >= saved for word, saved in short.items())


def test_the_same_seed_gives_the_same_detectors() -> None:
    one, other = learnt()[0], learnt()[0]
    assert one is not None
    assert other is not None
    assert one.words == other.words
    assert torch.equal(one.weight, other.weight)


def test_few_pictures_or_words_teach_nothing() -> None:
    features, documents = world(20)
    assert learn_detectors(lambda pictures: features[list(pictures)], documents, 8, 5, 1) is None
    features, _ = world(80)
    assert learn_detectors(lambda pictures: features[list(pictures)], [{"the"}] * 80, 8, 5, 1) is None


def test_a_projected_cell_points_to_the_word_that_it_shows() -> None:
    found, features = learnt()
    assert found is not None
    embeddings = torch.randn(50, 16, generator=torch.Generator().manual_seed(3))
    ids = {word: [10 * index, 10 * index + 1] for index, word in enumerate(found.words)}

    projector = Projector(DIM, 12, 16)
    write_detectors(projector, found, features[:64], embeddings, ids.__getitem__, 0, 5)
    lengths = projector(features[:64]).detach().norm(dim=-1)
    assert abs(float(lengths.mean() / embeddings.norm(dim=1).mean()) - 1) < 0.35
    centre = projector(torch.zeros(1, DIM))
    means = {word: embeddings[ids[word]].mean(0) for word in found.words}
    middle = torch.stack(list(means.values())).mean(0)
    for index, word in enumerate(WORDS):
        moved = projector(4 * torch.eye(len(WORDS), DIM)[index : index + 1]) - centre
        near = {w: torch.cosine_similarity(moved, (mean - middle)[None]).item() for w, mean in means.items()}
        assert max(near, key=near.__getitem__) == word


def test_added_words_leave_those_that_were_there() -> None:
    found, features = learnt()
    assert found is not None
    embeddings = torch.randn(50, 16, generator=torch.Generator().manual_seed(3))
    ids = {word: [10 * index, 10 * index + 1] for index, word in enumerate(found.words)}
    count = len(found.words)
    projector = Projector(DIM, 2 * count, 16)
    write_detectors(projector, found, features[:64], embeddings, ids.__getitem__, 0, 5)
    before = {name: value.clone() for name, value in projector.state_dict().items()}
    says = word_meanings(found, embeddings, ids.__getitem__)
    add_detectors(projector, found, features[:64], says, float(embeddings.norm(dim=1).mean()), count)
    after = projector.state_dict()
    assert torch.equal(after["linear_1.weight"][:count], before["linear_1.weight"][:count])
    assert torch.equal(after["linear_2.weight"][:, :count], before["linear_2.weight"][:, :count])
    assert torch.equal(after["linear_2.bias"], before["linear_2.bias"])
    assert torch.allclose(after["linear_1.weight"][count:], before["linear_1.weight"][:count])
    one, other = after["linear_2.weight"][:, :count], after["linear_2.weight"][:, count:]
    assert torch.nn.functional.cosine_similarity(one, other, dim=0).min() > 0.999  # the same words


def test_places_are_told_as_the_words_of_sides() -> None:
    found, features = learnt()
    assert found is not None
    side = 3
    cells = torch.cat([features[:64], torch.zeros(64, CELLS, 2 * side)], 2)
    place = torch.eye(side)
    cells[..., -2 * side : -side] = place.repeat_interleave(3, 0)
    cells[..., -side:] = place.repeat(3, 1)
    random = torch.Generator().manual_seed(3)
    words = (*found.words, "top", "middle", "bottom", "left", "right")
    ids = {word: [index] for index, word in enumerate(dict.fromkeys(words))}
    embeddings = torch.randn(len(ids), 32, generator=random)
    wide = Detectors(
        found.words, torch.nn.functional.pad(found.weight, (0, 2 * side)), found.bias, found.gain, found.alone
    )
    projector = Projector(DIM + 2 * side, 16, 32)
    write_detectors(projector, wide, cells, embeddings, ids.__getitem__, 2 * side, 5)
    blank = torch.zeros(side, DIM + 2 * side)
    blank[:, -side:] = place  # the columns, from left to right
    with torch.no_grad():
        said = projector(blank) - projector(torch.zeros(1, DIM + 2 * side))
    names = ("left", "middle", "right")
    middle = torch.stack([embeddings[ids[name][0]] for name in names]).mean(0)
    for column, name in enumerate(names):
        near = {
            other: float(torch.cosine_similarity(said[column], embeddings[ids[other][0]] - middle, dim=0))
            for other in names
        }
        assert max(near, key=near.__getitem__) == name

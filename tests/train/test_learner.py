"""Packed = one sample at a time with the model's own forward: loss, logits' gradients, with and without pictures."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from humanvlm.config.model import Model
from humanvlm.config.stage2_checkpoint import Stage2
from humanvlm.model.build import build_llava
from humanvlm.train import learner
from humanvlm.train.learner import Head, Learner
from humanvlm.train.model import tuned
from humanvlm.train.pack import Pack, blind, cut, make_pack
from humanvlm.train.parts import plain

Text = tuple[list[int], list[list[int]]]


def llava(tiny_models: dict[str, str], how: str = "full") -> Any:
    model = build_llava(Model(**tiny_models))[0]
    return tuned(model, Stage2(language_model=how, vision_tower="lora", lora_r=4, lora_dropout=0.0))


def texts(image: int) -> list[Text]:
    """Samples of one picture, two pictures, none."""
    picture = [image] * 16
    return [
        ([5, *picture, 6, 7, 8, 9], [[19, 21]]),
        ([5, *picture, 6, *picture, 7, 8, 9, 10], [[1, 1], [35, 38]]),
        ([5, 6, 7, 8, 9], [[0, 2], [3, 5]]),
    ]


def alone(model: Any, text: Text, pixels: torch.Tensor) -> torch.Tensor:
    """Sum of cross-entropy of one sample by the LLaVA's own forward."""
    tokens, spans = text
    labels = torch.full((1, len(tokens)), -100)
    for start, stop in spans:
        labels[0, max(1, start) : stop] = torch.tensor(tokens[max(1, start) : stop])
    logits = plain(model)(
        input_ids=torch.tensor([tokens]), pixel_values=pixels if len(pixels) else None, attention_mask=None
    ).logits
    return nn.functional.cross_entropy(logits[0, :-1].double(), labels[0, 1:], ignore_index=-100, reduction="sum")


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference, relative to the largest value: sums in another order differ by that."""
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1))


def packed(samples: Sequence[Text], pixels: torch.Tensor) -> Pack:
    return make_pack(samples, pixel_values=pixels)


@pytest.mark.parametrize("how", ["full", "lora"])
def test_packed_is_unpacked(tiny_models: dict[str, str], how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner, "LOGITS", 4 * 3 * 49_280)  # a few rows at a time
    model = llava(tiny_models, how).eval()
    torch.manual_seed(0)
    samples = texts(plain(model).config.image_token_id)
    pixels = torch.randn(3, 3, 32, 32)
    parts = [pixels[:1], pixels[1:3], pixels[3:]]
    losses = [alone(model, text, part) for text, part in zip(samples, parts, strict=True)]
    wanted = gradients(model, sum(losses))  # type: ignore[arg-type]
    module = Learner(model).train()
    loss = module(packed(samples, pixels))
    assert loss.item() == pytest.approx(sum(loss.item() for loss in losses), rel=1e-6)
    found = gradients(model, loss)
    assert set(found) == set(wanted)
    for name, gradient in wanted.items():
        assert apart(found[name], gradient) < 1e-5, name


def test_parts_that_share_a_picture_are_samples_that_each_have_it(tiny_models: dict[str, str]) -> None:
    model = llava(tiny_models, "lora").eval().double()
    torch.manual_seed(0)
    (tokens, _), *_ = texts(plain(model).config.image_token_id)
    begin, ends = tokens[:17], [[6, 7, 8], [9, 10], [11, 12, 13, 14]]
    pixels = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    separate = [(begin + end, [[len(begin) + 1, len(begin) + len(end)]]) for end in ends]
    losses = [alone(model, text, pixels) for text in separate]
    wanted = gradients(model, sum(losses))  # type: ignore[arg-type]
    starts = [len(begin) + sum(map(len, ends[:number])) for number in range(len(ends))]
    spans = [[start + 1, start + len(end)] for start, end in zip(starts, ends, strict=True)]
    other: Text = ([5, 6, 7], [])
    pack = make_pack(
        [other, ([*begin, *(token for end in ends for token in end)], spans), other],
        [(3,), (len(begin), *map(len, ends)), (3,)],
        pixel_values=pixels,
    )
    loss = Learner(model).train()(pack)
    assert loss.item() == pytest.approx(sum(loss.item() for loss in losses), rel=1e-6)
    for name, gradient in gradients(model, loss).items():
        assert apart(gradient, wanted[name]) < 1e-6, name


def test_pieces_of_a_sample_together_are_the_sample(tiny_models: dict[str, str]) -> None:
    model = llava(tiny_models, "lora").eval().double()
    torch.manual_seed(0)
    begin = [5, *[plain(model).config.image_token_id] * 16]
    tokens, parts = [*begin, *range(6, 18)], (len(begin), 3, 5, 4)
    spans = [[18, 20], [22, 23], [24, 25], [27, 29]]
    pixels = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    module = Learner(model).train()
    whole = module(make_pack([(tokens, spans)], [parts], pixel_values=pixels))
    wanted = gradients(model, whole)
    shares = [cut(tokens, spans, parts, kept) for kept in ((0, 2), (0, 1, 3))]
    assert [share[2] for share in shares] == [(17, 5), (17, 3, 4)]
    assert shares[1][1].tolist() == [[18, 20], [22, 24]]
    losses = [module(make_pack([share[:2]], [share[2]], pixel_values=pixels)) for share in shares]
    assert sum(loss.item() for loss in losses) == pytest.approx(whole.item(), rel=1e-12)
    for name, gradient in gradients(model, sum(losses)).items():
        assert apart(gradient, wanted[name]) < 1e-6, name


def test_weights_scale_what_each_label_adds(tiny_models: dict[str, str]) -> None:
    model = llava(tiny_models)
    module = Learner(model)
    text = ([5, 6, 7, 8, 9], [[1, 2], [3, 5]])
    pixels = torch.ones(1, 3, 32, 32)
    one = module(blind(make_pack([(text[0], text[1][:1])], pixel_values=pixels)))
    two = module(blind(make_pack([(text[0], text[1][1:])], pixel_values=pixels)))
    both = module(blind(make_pack([text], power=0.5, pixel_values=pixels)))
    assert torch.allclose(both, one + two / 2**0.5, rtol=1e-6)


def test_a_sample_sees_nothing_of_its_neighbours(tiny_models: dict[str, str]) -> None:
    model = llava(tiny_models)
    module = Learner(model)
    first, _, last = texts(plain(model).config.image_token_id)
    one = module(packed([last, first, last], torch.ones(1, 3, 32, 32)))
    separate = module(packed([first], torch.ones(1, 3, 32, 32))) + 2 * module(
        blind(packed([last], torch.ones(1, 3, 32, 32)))
    )
    assert torch.allclose(one, separate, rtol=1e-6)


def test_a_dummy_picture_changes_nothing_and_reaches_every_parameter(tiny_models: dict[str, str]) -> None:
    model = llava(tiny_models)
    module = Learner(model)
    last = texts(0)[2]
    seen = [module(blind(packed([last], value * torch.ones(1, 3, 32, 32)))) for value in (0.0, 1.0)]
    assert seen[0] == seen[1]
    found = gradients(model, module(blind(packed([([0], [])], torch.zeros(1, 3, 32, 32)))))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    reached = {name for name in trained if name in found}
    # A tower may have layers behind the features that are read; nothing reaches those in a pack with pictures either.
    seen_too = gradients(
        model, module(packed([texts(plain(model).config.image_token_id)[0]], torch.ones(1, 3, 32, 32)))
    )
    assert reached == {name for name in trained if name in seen_too}
    assert all(not gradient.any() for gradient in found.values())


def test_features_give_what_pictures_give(tiny_models: dict[str, str]) -> None:
    model = llava(tiny_models, "lora")
    module, base = Learner(model), plain(model)
    text = texts(base.config.image_token_id)[0]
    pixels = torch.randn(1, 3, 32, 32)
    kept: list[torch.Tensor] = []
    hook = base.model.multi_modal_projector.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    wanted = module(packed([text], pixels))
    hook.remove()
    assert torch.allclose(wanted, module(make_pack([text], features=kept[0])), rtol=1e-6)


def test_the_first_token_is_never_a_label() -> None:
    pack = make_pack([([5, 6], [[0, 2]]), ([7, 8, 9], [[0, 1], [2, 3]])])
    assert pack.label_places.tolist() == [0, 3]
    assert pack.targets.tolist() == [6, 9]
    assert pack.position_ids.tolist() == [[0, 1, 0, 1, 2]]
    assert pack.boundaries.tolist() == [0, 2, 5]


def test_the_head_is_still_a_head() -> None:
    linear = nn.Linear(4, 9, bias=False)
    hidden = torch.randn(3, 4)
    assert torch.equal(Head.of(linear)(hidden), linear(hidden))

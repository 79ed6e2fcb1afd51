"""Who becomes champion: the rule, on evaluations sample by sample."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from humanvlm.config.registered_model import RegisteredModel
from humanvlm.errors import UserError
from humanvlm.evaluate.stats.statistics import paired
from humanvlm.registry.evaluation import read_evaluation
from humanvlm.registry.promotion import ALPHA, Decision, decide

from ..evaluate.stats.test_statistics import of_scores
from .made import ABOVE, answers, evaluation

POLICY = RegisteredModel(metric="vqa.accuracy")


def decided(
    folder: Path,
    candidate: Sequence[float],
    champion: Sequence[float],
    parts: Sequence[str] = (),
    policy: RegisteredModel = POLICY,
) -> Decision:
    one = read_evaluation(evaluation(folder / "candidate", candidate, parts))
    return decide(one, read_evaluation(evaluation(folder / "champion", champion, parts)), policy)


def improved(values: Sequence[float], more: int) -> list[float]:
    """The same answers, so many wrong ones put right."""
    wrong = [place for place, value in enumerate(values) if not value][:more]
    return [1.0 if place in wrong else value for place, value in enumerate(values)]


def test_the_first_version_needs_what_it_is_on_its_own(tmp_path: Path) -> None:
    first = read_evaluation(evaluation(tmp_path / "a", answers(0.5)))
    decision = decide(first, None, POLICY)
    assert decision.promote
    assert decision.reasons == ("there is no champion; vqa.accuracy is 0.5000",)
    floor = RegisteredModel(metric="vqa.accuracy", guards={"vqa.accuracy": 0.6, "rec.acc50": 0.1})
    assert decide(first, None, floor).reasons == (
        "guard rec.acc50: not scored",
        "guard vqa.accuracy: 0.5000 is below 0.6000",
    )


def test_a_model_that_is_not_above_its_blind_self_is_no_champion(tmp_path: Path) -> None:
    below = {"vqa.accuracy.above_mean_image": (0.01, -0.02, 0.04)}
    blind = read_evaluation(evaluation(tmp_path / "a", answers(0.5), above=below))
    assert decide(blind, None, POLICY).reasons == (
        "vqa.accuracy does not beat its mean picture: +0.0100 [-0.0200, +0.0400]",
    )
    commonest = ABOVE | {"vqa.accuracy.above_most_common": (-0.1, -0.2, 0.0)}
    assert "commonest caption" in decide(
        read_evaluation(evaluation(tmp_path / "b", answers(0.5), above=commonest)), None, POLICY
    ).reasons[0]  # fmt: skip
    unknown = read_evaluation(evaluation(tmp_path / "c", answers(0.5), above={}))
    assert "benchmark_scores.baselines=true" in decide(unknown, None, POLICY).reasons[0]


def test_a_difference_within_noise_does_not_promote(tmp_path: Path) -> None:
    base = answers(0.5)
    decision = decided(tmp_path, improved(base, 1), base)
    assert not decision.promote
    assert "0.5050 against 0.5000: a gain of +0.0050" in decision.reasons[0]
    assert "not above 0 beyond noise (200 pictures, p 1; a true gain of " in decision.reasons[0]
    assert "is found four times in five)" in decision.reasons[0]


def test_a_gain_beyond_noise_promotes_and_one_below_min_gain_does_not(tmp_path: Path) -> None:
    base = answers(0.5)
    decision = decided(tmp_path / "1", improved(base, 20), base)
    assert decision.promote
    assert "a gain of +0.1000" in decision.reasons[0]
    demanding = RegisteredModel(metric="vqa.accuracy", min_gain=0.09)
    assert not decided(tmp_path / "2", improved(base, 20), base, policy=demanding).promote


def test_better_on_average_and_worse_in_a_slice_is_refused(tmp_path: Path) -> None:
    parts = ["day"] * 160 + ["night"] * 40
    champion = [0.0, 1.0] * 80 + [1.0] * 30 + [0.0] * 10
    candidate = improved(champion[:160], 60) + [0.0] * 30 + [0.0] * 10
    decision = decided(tmp_path, candidate, champion, parts)
    assert not decision.promote
    assert decision.tests[0].found.low > 0  # better on average, beyond noise
    assert decision.reasons == (decision.reasons[0],)
    assert decision.reasons[0].startswith("vqa.accuracy of part=night is worse: 0.0000 against 0.7500")


def test_another_task_that_got_worse_holds_it_back(tmp_path: Path) -> None:
    base = answers(0.5)
    one = read_evaluation(evaluation(tmp_path / "a", improved(base, 40), others={"pope": answers(0.5, seed=3)}))
    two = read_evaluation(evaluation(tmp_path / "b", base, others={"pope": improved(answers(0.5, seed=3), 40)}))
    assert "pope.accuracy is worse" in decide(one, two, POLICY).reasons[0]
    only_vqa = RegisteredModel(metric="vqa.accuracy", not_worse=["vqa.accuracy"])
    assert decide(one, two, only_vqa).promote


def test_scores_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "a", answers(0.5))
    (folder / "scores.json").write_text('{"vqa.accuracy": NaN}')
    with pytest.raises(UserError, match=r"scores\.json: score 'vqa\.accuracy' is not a finite number"):
        read_evaluation(folder)
    (folder / "scores.json").write_text('{"vqa.accuracy": 0.9}')
    with pytest.raises(UserError, match=r"do not add up to the score accuracy 0\.9"):
        read_evaluation(folder)


def test_a_metric_that_is_not_there_is_named(tmp_path: Path) -> None:
    one = read_evaluation(evaluation(tmp_path / "a", answers(0.5)))
    with pytest.raises(UserError, match=r"'captions\.cidre' is not in .*; it has vqa\.accuracy$"):
        decide(one, None, RegisteredModel(metric="captions.cidre"))
    with pytest.raises(UserError, match=r"rec\.acc50: .* has no task 'rec'; it has vqa"):
        decide(one, one, RegisteredModel(metric="vqa.accuracy", not_worse=["rec.acc50"]))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_two_models_never_both_beat_each_other(pairs: list[tuple[bool, bool]]) -> None:
    from tempfile import TemporaryDirectory

    ours, theirs = (np.array(side, dtype=float).tolist() for side in zip(*pairs, strict=True))
    with TemporaryDirectory() as name:
        first, second = decided(Path(name, "1"), ours, theirs), decided(Path(name, "2"), theirs, ours)
    assert not (first.promote and second.promote)


@pytest.mark.parametrize("pictures", [30, 100])
@pytest.mark.parametrize("differing", [0.1, 0.3, 0.5])
def test_equal_models_that_are_right_or_wrong_promote_in_2_5_of_100_cases_at_most(
    pictures: int, differing: float
) -> None:
    """Counted, not drawn: of pictures that differ, either model is right on each with a chance of one half."""
    chance = 0.0
    for differ in range(1, pictures + 1):
        weight = binom.pmf(differ, pictures, differing)
        if weight < 1e-5:
            chance += weight
            continue
        for won in range(differ, -1, -1):  # monotone: the first that does not promote ends it
            moved = [1.0] * won + [-1.0] * (differ - won) + [0.0] * (pictures - differ)
            found = paired(of_scores([0.0] * pictures), of_scores(moved), 999, exact=True)[0]
            if not (found.low > 0 and found.p <= ALPHA):
                break
            chance += weight * binom.pmf(won, differ, 0.5)
    assert chance <= 0.025

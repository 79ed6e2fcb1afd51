"""Whether a scored checkpoint becomes the champion."""

from collections.abc import Mapping
from dataclasses import dataclass

from humanvlm.config.registered_model import RegisteredModel


@dataclass(frozen=True)
class Scored:
    """A registered version: its scores, and the identity of the benchmark that gave the deciding one."""

    version: str
    scores: Mapping[str, float]
    benchmark: str


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and why, a sentence each."""

    promote: bool
    reasons: tuple[str, ...]


def decide(candidate: Scored, champion: Scored | None, policy: RegisteredModel) -> Decision:
    """Promote a candidate that passes every guard and beats the champion by more than ``min_gain``.

    The first version needs the guards only. Scores of another benchmark are not compared: CIDEr depends on its corpus.
    """
    reasons = []
    for metric, least in sorted(policy.guards.items()):
        value = candidate.scores.get(metric)
        if value is None:
            reasons.append(f"guard {metric}: not scored")
        elif value < least:
            reasons.append(f"guard {metric}: {value:.4f} is below {least:.4f}")
    if reasons:
        return Decision(False, tuple(reasons))
    value = candidate.scores[policy.metric]
    if champion is None:
        return Decision(True, (f"there is no champion; {policy.metric} is {value:.4f}",))
    if champion.version == candidate.version:
        return Decision(True, (f"version {candidate.version} is the champion already",))
    best = champion.scores.get(policy.metric)
    if best is None or champion.benchmark != candidate.benchmark:
        why = "was not scored" if best is None else "comes from another benchmark"
        return Decision(
            False, (f"{policy.metric} of champion version {champion.version} {why}: set the alias by hand",)
        )
    gain = value - best
    verdict = "more than" if gain > policy.min_gain else "not more than"
    reason = f"{policy.metric} {value:.4f} against {best:.4f} of version {champion.version}"
    return Decision(gain > policy.min_gain, (f"{reason}: a gain of {gain:+.4f}, {verdict} {policy.min_gain:g}",))

"""Of every kind of lie at least 95 in 100 are caught, wherever they stand; of true captions at most 5 in 100 are."""

from random import Random

import pytest

from humanvlm.caption.captioners.base import Style, Subject
from humanvlm.caption.checks.check import Limits, check, repair
from humanvlm.caption.template.captioner import TemplateCaptioner

from .lies import ECHO, KINDS, sheet, true_caption

LIMITS = Limits(words=300, prompts=(ECHO,))
TOLD = 60


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_lie_is_caught(kind: str) -> None:
    missed, kept = [], []
    for seed in range(TOLD):
        facts, random = sheet(seed), Random(seed)
        lie = KINDS[kind](facts, true_caption(facts, random), random)
        verdict = check(lie, "detailed", facts, (), LIMITS)
        missed += [] if verdict.faults else [lie]
        left = repair(lie, verdict)
        kept += [lie] if verdict.faults and left == lie else []
    assert len(missed) <= 0.05 * TOLD, "\n".join(missed[:12])
    assert kept == []


def test_true_captions_pass() -> None:
    flagged = []
    for seed in range(3 * TOLD):
        facts = sheet(seed)
        text = true_caption(facts, Random(seed))
        if faults := check(text, "detailed", facts, (), LIMITS).faults:
            flagged.append(f"{faults} {text}")
    assert len(flagged) <= 0.05 * 3 * TOLD, "\n".join(flagged[:12])


def test_what_the_template_writes_is_supported() -> None:
    styles: tuple[Style, ...] = ("short", "detailed", "face", "body", "background", "fused")
    captioner = TemplateCaptioner(7, 0.6, dict.fromkeys(styles, 300))
    claims, unsupported, flagged = 0, [], []
    for seed in range(TOLD):
        facts = sheet(seed)
        (draft,) = captioner.write([Subject(f"{seed}", facts)], styles)
        for style, text in draft.texts.items():
            verdict = check(text, style, facts, (), LIMITS)
            claims += len(verdict.claims)
            unsupported += [
                f"{claim.kind} {text[claim.start : claim.end]}: {text}" for claim in verdict.claims if not claim.by
            ]
            flagged += [f"{verdict.faults} {text}"] if verdict.faults else []
    assert len(unsupported) < 0.02 * claims, "\n".join(unsupported[:12])
    assert len(flagged) <= 0.05 * TOLD * len(styles), "\n".join(flagged[:12])

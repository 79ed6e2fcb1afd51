"""What holds of every text whatever it says: places lie inside it, sums add up, repairs shorten and settle."""

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from humanvlm.caption.checks.check import Limits, check, repair
from humanvlm.caption.checks.verdict import Verdict

from .lies import ECHO, KINDS, sheet, true_caption
from .sheets import COUPLE, TRUE

LIMITS = Limits(words=60, prompts=(ECHO,))
WORDS = """a the two three no man woman people person dog dogs bicycle red blue dress hat glasses is are wears holding
and with of in on left right behind not Barack Obama Asian who <think> </think> . , ! : { } ** I sorry é ’s - " “ ”"""
texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from([*WORDS.split(), "\n"]), max_size=60).map(" ".join),
    st.integers(0, 500).map(lambda seed: told(seed)),
)


def told(seed: int) -> str:
    """A lie of some kind."""
    random = Random(seed)
    facts = sheet(seed)
    return KINDS[random.choice(list(KINDS))](facts, true_caption(facts, random), random)


def judged(text: str) -> Verdict:
    return check(text, "short", COUPLE, ("A woman with an umbrella",), LIMITS)


@settings(max_examples=300, deadline=None)
@example("<think>a</think>")
@example('"')
@example("\x00")
@example(TRUE)
@given(texts)
def test_places_lie_inside_and_sums_add_up(text: str) -> None:
    verdict = judged(text)
    assert all(0 <= claim.start < claim.end <= len(text) for claim in verdict.claims)
    assert all(0 <= cut.start <= cut.end <= len(text) for cut in verdict.cuts)
    assert verdict.supported + verdict.unsupported == len(verdict.claims)
    assert 0 <= verdict.faithfulness <= 1
    assert not any(claim.by and claim.contradicted for claim in verdict.claims)
    assert {cut.fault for cut in verdict.cuts} <= set(verdict.faults)
    assert bool(verdict.faults) == bool(verdict.cuts or verdict.faults == ("empty",))
    assert judged(text) == verdict


@settings(max_examples=300, deadline=None)
@example("A giraffe. A woman smiles.")
@given(texts)
def test_a_repair_shortens_and_settles(text: str) -> None:
    verdict = judged(text)
    left = repair(text, verdict)
    assert len(left) <= len(text)
    assert (left == text) == (not verdict.faults) or not text
    for _ in range(12):  # each repair takes away what is at fault now
        again = judged(left)
        if not left or not again.faults:
            break
        left = repair(left, again)
    assert not left or not judged(left).faults
    assert repair(left, judged(left)) == left

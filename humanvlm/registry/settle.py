"""From a decision to the alias: compared outside the lock, applied inside it, told in tags and in the log."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from humanvlm.config.registered_model import RegisteredModel
from humanvlm.errors import UserError
from humanvlm.registry.decisions import append, entries
from humanvlm.registry.evaluation import Evaluation
from humanvlm.registry.lock import promotion_lock
from humanvlm.registry.promotion import Decision, decide
from humanvlm.registry.versions import CHALLENGER, CHAMPION, REPLACED, ROLLED_BACK, WEIGHTS, Registry

log = logging.getLogger("humanvlm")

ATTEMPTS = 5  # other champions that may come between the comparison and the lock
REASONS = 5000  # characters of a tag's that MLflow keeps
AskAgain = Callable[[Path, str], Evaluation]  # weights and number of a version -> its evaluation


@dataclass(frozen=True)
class Settled:
    """A decision that was applied. before: the champion's number until then. aliases: the version's now."""

    version: str
    before: str | None
    decision: Decision
    aliases: tuple[str, ...]


def settle(
    registry: Registry, version: Any, evaluation: Evaluation, policy: RegisteredModel, work: Path, ask: AskAgain
) -> Settled:
    """Compare a version with the champion, and move the aliases. Comparing may take long and is done outside the lock;
    when another process has promoted meanwhile, it is done again, with that one's champion.

    Raises UserError when the lock is not to be had, and as ``restore_champion`` and ``considered``.
    """
    restore_champion(registry)
    for _ in range(ATTEMPTS):
        champion = registry.champion()
        decision = considered(registry, version, evaluation, champion, policy, work, ask)
        with promotion_lock(registry.client, registry.name):
            now = registry.champion()
            if _number(now) != _number(champion):
                continue
            return apply(registry, version, champion, decision)
    raise UserError(f"{registry.name}: its champion changed {ATTEMPTS} times during the comparison; run it again")


def considered(
    registry: Registry,
    version: Any,
    evaluation: Evaluation,
    champion: Any | None,
    policy: RegisteredModel,
    work: Path,
    ask: AskAgain,
) -> Decision:
    """What the rule says, nothing changed; the champion is asked again when it was scored otherwise.

    Raises UserError when it has to be asked again and its weights are gone.
    """
    if why := version.tags.get(ROLLED_BACK):
        lifted = f"`humanvlm promote {version.version} --force-reason TEXT` lifts that"
        return Decision(False, (f"it was rolled back ({why}); {lifted}",))
    if champion is None:
        return decide(evaluation, None, policy)
    if _number(champion) == _number(version):
        return Decision(True, (f"version {champion.version} is the champion already",))
    if champion.tags.get(WEIGHTS) == version.tags[WEIGHTS]:
        return Decision(True, (f"its weights are those of the champion, version {champion.version}",))
    other = registry.recorded(champion, work / f"evaluation-{champion.version}")
    if other is None or other.identity != evaluation.identity:
        weights = registry.weights(champion, work / f"weights-{champion.version}")
        other = ask(weights, str(champion.version))
        registry.record(champion, other)
    return decide(evaluation, other, policy)


def promoted_last(registry: Registry) -> str | None:
    """The number that the log says was promoted last; None when it says nothing."""
    if not registry.exists():
        return None
    return next((str(one["version"]) for one in reversed(entries(registry)) if one["promoted"]), None)


def champion_or_last(registry: Registry) -> Any | None:
    """The champion; where nobody has the alias, the version that the log names, if it is there."""
    if champion := registry.champion():
        return champion
    number = promoted_last(registry)
    return registry.numbered(number) if number else None


def restore_champion(registry: Registry) -> None:
    """Where nobody has the alias, give it back to whom the log says was promoted last: a deleted alias is no vacancy.

    Raises UserError when that version is gone too.
    """
    if not registry.exists() or registry.champion() is not None:
        return
    with promotion_lock(registry.client, registry.name):
        number = promoted_last(registry)
        if number is None or registry.champion() is not None:
            return
        if registry.numbered(number) is None:
            raise UserError(
                f"{registry.name}: no version has the alias {CHAMPION!r}, and version {number}, promoted last, is "
                "deleted; name another with `humanvlm promote VERSION --force-reason TEXT`"
            )
        registry.client.set_registered_model_alias(registry.name, CHAMPION, number)
        log.warning("%s: no version had the alias %r; version %s has it again", registry.name, CHAMPION, number)


def apply(registry: Registry, version: Any, champion: Any | None, decision: Decision) -> Settled:
    """Write the reasons down, then move the aliases; the lock is held. The champion's alias is what counts and moves
    last: killed before, the same command decides again."""
    number, before = str(version.version), _number(champion)
    stays = decision.promote and before == number
    if not stays:
        entry = {"version": number, "champion": before, "promoted": decision.promote, "reasons": list(decision.reasons)}
        append(registry, entry)
        tags = {
            "decision": "promoted" if decision.promote else "not_promoted",
            "decision.reasons": " | ".join(decision.reasons)[:REASONS],
        }
        registry.tag(version, tags | ({REPLACED: before or ""} if decision.promote else {}))
    for alias in (CHALLENGER, *((CHAMPION,) if decision.promote else ())):
        registry.client.set_registered_model_alias(registry.name, alias, number)
    aliases = registry.client.get_model_version(registry.name, number).aliases
    return Settled(number, before, decision, tuple(sorted(aliases)))


def told(settled: Settled) -> Iterator[str]:
    """A line a reason; where the champion was asked about, the reason alone."""
    if settled.version == settled.before and settled.decision.promote:
        yield from settled.decision.reasons
        return
    verdict = "promoted" if settled.decision.promote else "not promoted"
    over = f" over version {settled.before}" if settled.before not in (None, settled.version) else ""
    for reason in settled.decision.reasons:
        yield f"version {settled.version} {verdict}{over}: {reason}"


def _number(version: Any | None) -> str | None:
    return None if version is None else str(version.version)

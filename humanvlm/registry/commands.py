"""`humanvlm promote` and `humanvlm rollback`: the champion, moved by hand, for reasons that are written down."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from humanvlm.config.loading import load_params
from humanvlm.errors import UserError
from humanvlm.pipeline import tracking
from humanvlm.pipeline.state import state_folder
from humanvlm.registry.again import asked_as
from humanvlm.registry.decisions import append
from humanvlm.registry.evaluation import Evaluation
from humanvlm.registry.lock import promotion_lock
from humanvlm.registry.promotion import Decision
from humanvlm.registry.settle import Settled, apply, champion_or_last, considered, restore_champion, settle, told
from humanvlm.registry.versions import CHALLENGER, CHAMPION, REPLACED, ROLLED_BACK, Registry
from humanvlm.shown import masked


def promote(
    number: str | None, params_file: Path, overrides: Sequence[str], *, dry_run: bool = False, force_reason: str = ""
) -> str:
    """Decide on a version, by default the challenger, as ``registered_model`` does; what came of it, a line a reason.

    dry_run: nothing is changed. force_reason: it is promoted without a comparison, and this is why.
    Raises UserError when there is no such version, or it was never scored.
    """
    params = load_params(params_file, overrides)
    uri, policy = _uri(), params.registered_model
    with tracking.failing_in_one_line(uri):
        registry = Registry(tracking.mlflow_client(uri), uri, policy.name)
        version = _version(registry, number)
        if force_reason:
            decision = Decision(True, (f"forced: {force_reason}",))
            if dry_run:
                return _would(version, decision)
            with promotion_lock(registry.client, registry.name):
                if ROLLED_BACK in version.tags:
                    registry.client.delete_model_version_tag(registry.name, str(version.version), ROLLED_BACK)
                return "\n".join(told(apply(registry, version, champion_or_last(registry), decision)))
        work = state_folder() / "registry"
        evaluation = registry.recorded(version, work / f"evaluation-{version.version}")
        if evaluation is None:
            raise UserError(
                f"{registry.name} version {version.version}: its scores are not in MLflow; run `humanvlm "
                "registered_model` with its checkpoint, or give --force-reason TEXT"
            )
        if dry_run:
            champion = champion_or_last(registry)
            return _would(version, considered(registry, version, evaluation, champion, policy, work, _not_asked))
        ask = asked_as(evaluation, params.model_dump(mode="json"), work)
        return "\n".join(told(settle(registry, version, evaluation, policy, work, ask)))


def rollback(params_file: Path, overrides: Sequence[str], reason: str) -> str:
    """Make the version champion that the present one replaced; the present one is promoted by force only, from then on.

    Raises UserError when there is none before, or it, or its files, are gone.
    """
    uri, name = _uri(), load_params(params_file, overrides).registered_model.name
    with tracking.failing_in_one_line(uri):
        registry = Registry(tracking.mlflow_client(uri), uri, name)
        restore_champion(registry)
        with promotion_lock(registry.client, name):
            champion = registry.champion()
            if champion is None:
                raise UserError(f"{name}: no version has the alias {CHAMPION!r}; there is nothing to roll back")
            number = champion.tags.get(REPLACED)
            before = registry.numbered(number) if number else None
            if before is None or not registry.has_files(before):
                what = f"version {number}, which it replaced, is gone" if number else "it replaced none"
                raise UserError(
                    f"{name} version {champion.version}: {what}; name another with `humanvlm promote VERSION "
                    "--force-reason TEXT`"
                )
            why = f"rolled back from version {champion.version}: {reason}"
            entry = {"version": number, "champion": str(champion.version), "promoted": True, "reasons": [why]}
            append(registry, entry)
            registry.tag(champion, {ROLLED_BACK: reason})
            registry.client.set_registered_model_alias(name, CHAMPION, number)
    return "\n".join(told(Settled(str(number), str(champion.version), Decision(True, (why,)), (CHAMPION,))))


def _uri() -> str:
    uri = tracking.tracking_uri()
    if uri is None:
        raise UserError("MLFLOW_TRACKING_URI=none: there is no registry; unset it, or name a server")
    return uri


def _version(registry: Registry, number: str | None) -> Any:
    if number is None:
        aliases = registry.client.get_registered_model(registry.name).aliases if registry.exists() else {}
        if CHALLENGER not in aliases:
            raise UserError(
                f"{registry.name}: no version has the alias {CHALLENGER!r}; run `humanvlm registered_model`, or name a "
                "version"
            )
        number = str(aliases[CHALLENGER])
    found = registry.numbered(number) if registry.exists() else None
    if found is None:
        raise UserError(f"{registry.name}: MLflow at {masked(registry.uri)} has no version {number}")
    return found


def _would(version: Any, decision: Decision) -> str:
    if CHAMPION in version.aliases and decision.promote:
        return "\n".join(decision.reasons)
    verdict = "would be promoted" if decision.promote else "would not be promoted"
    return "\n".join(f"version {version.version} {verdict}: {reason}" for reason in decision.reasons)


def _not_asked(weights: Path, number: str) -> Evaluation:
    raise UserError(
        f"version {number} was scored on other benchmarks, or by other code; without --dry-run it is asked again"
    )

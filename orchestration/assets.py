"""Assets generated from the DVC graph: one a stage, and one observed asset for each tracked source."""

import warnings
from typing import Any

import dagster as dg

from humanvlm.shown import masked
from orchestration.compute import bring_up_to_date
from orchestration.dvc_graph import Graph, StageNode, code_version, load_graph, read_lock, source_version
from orchestration.metadata import describe_artifact
from orchestration.versions import observation, version_tags

POOL = "dvc"
GROUP = "humanvlm"  # one group: the UI shows its graph at once, where it would fold several into boxes
FORCE_TAG, RECHECK_TAG = "humanvlm/force", "humanvlm/recheck-consent"
# Tags of a run, and the variables by which `humanvlm STAGE` hears of them.
ASKED = {FORCE_TAG: "HUMANVLM_FORCE", RECHECK_TAG: "HUMANVLM_RECHECK_CONSENT"}


def stage_asset(graph: Graph, node: StageNode) -> dg.AssetsDefinition:
    """The asset of a stage: deps, code version and description from DVC; data version = md5 of its output."""

    @dg.asset(
        name=node.name,
        deps=list(node.inputs),
        description=node.description,
        code_version=code_version(graph, node),
        group_name=GROUP,
        kinds={"dvc", *node.meta.get("kinds", [])},
        tags={"humanvlm/compute": node.compute, "humanvlm/layer": node.meta.get("layer", "")},
        metadata={"command": masked(node.cmd), "artifact": node.out, "parameters": ", ".join(node.sections)},
        pool=POOL if node.compute == "dvc" else None,
    )
    def materialize(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        current = load_graph(graph.root)
        asked = {name: "1" for tag, name in ASKED.items() if context.run.tags.get(tag) == "true"}
        bring_up_to_date(context, current, node, asked)
        locked = read_lock(current)[node.name]
        for name in set(node.inputs) & set(graph.sources):
            context.log_event(observation(name, source_version(current, name)))
        return dg.MaterializeResult(
            metadata=describe_artifact(graph.root / node.out),
            data_version=dg.DataVersion(locked.data_version),
            tags=version_tags(locked),
        )

    return materialize


def source_asset(graph: Graph, name: str) -> dg.SourceAsset | dg.AssetsDefinition:
    """A source that DVC tracks, or a part of it, external to Dagster: observing it reads its md5.

    The sensor and every stage that reads it report the same, so nobody has to press Observe.
    """
    source = graph.sources[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # the only way to an external asset whose version counts

        @dg.observable_source_asset(
            name=name,
            description=f"{source.path}, tracked by {source.tracked_by}; `dvc commit {source.tracked_by}` records a "
            "new version.",
            group_name=GROUP,
            tags={"dagster/kind/dvc": ""},
        )
        def observe() -> dg.DataVersion:
            return dg.DataVersion(source_version(load_graph(graph.root), name))

    return observe

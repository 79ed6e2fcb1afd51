"""DVC's record of a run as the version tags by which Dagster decides what is stale.

The tags come from dvc.lock, not from Dagster's own bookkeeping, so an artifact that `dvc repro` made outside Dagster
and one that Dagster made are told alike.
"""

import dagster as dg

from orchestration.dvc_graph import Locked

DATA_VERSION = "dagster/data_version"
CODE_VERSION = "dagster/code_version"


def version_tags(locked: Locked) -> dict[str, str]:
    """Tags of a materialization: data and code version, and the version of each input that was read."""
    return {
        DATA_VERSION: locked.data_version,
        CODE_VERSION: locked.code_version,
        "dagster/data_version_is_user_provided": "true",
        **{f"dagster/input_data_version/{name}": version for name, version in locked.input_versions.items()},
        **{f"dagster/input_event_pointer/{name}": "NULL" for name in locked.input_versions},
    }


def observation(name: str, version: str) -> dg.AssetObservation:
    """That a source has this version now."""
    return dg.AssetObservation(asset_key=name, tags={DATA_VERSION: version})

"""Jobs and schedules. What a job does beyond materializing is asked for by run tags, never by hyperparameters."""

import dagster as dg

from humanvlm.pipeline.stages import STAGES
from orchestration.assets import FORCE_TAG, RECHECK_TAG

REEVALUATED = tuple(stage.name for stage in STAGES.values() if stage.layer == "release")

CRAWLED = next(stage.name for stage in STAGES.values() if stage.retries_rows)

everything = dg.define_asset_job("everything", dg.AssetSelection.all(), description="Bring every stage up to date.")

reevaluate = dg.define_asset_job(
    "reevaluate",
    dg.AssetSelection.assets(*REEVALUATED),
    description="Score the current checkpoint again and compare it with the champion, though nothing changed.",
    tags={FORCE_TAG: "true"},
)

recheck_consent = dg.define_asset_job(
    "recheck_consent",
    dg.AssetSelection.assets(CRAWLED),
    description="Ask the sites of stored pictures again; what is opted out or gone since leaves the shards.",
    tags={RECHECK_TAG: "true"},
)

weekly_reevaluation = dg.ScheduleDefinition(
    name="weekly_reevaluation",
    job=reevaluate,
    cron_schedule="0 3 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Mondays 03:00 UTC: re-evaluates the champion. Off until it is switched on in the UI.",
)

monthly_recheck = dg.ScheduleDefinition(
    name="monthly_recheck",
    job=recheck_consent,
    cron_schedule="0 4 1 * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Each 1st, 04:00 UTC: asks about stored pictures again. Off until it is switched on in the UI.",
)

"""Jobs and schedules. What a job does beyond materializing is asked for by run tags, never by hyperparameters."""

import dagster as dg

from humanvlm.pipeline.stages import STAGES
from orchestration.assets import RECHECK_TAG
from orchestration.champion import GROUP, question
from orchestration.dvc_graph import Graph

CHAMPION = dg.AssetSelection.groups(GROUP)

CRAWLED = next(stage.name for stage in STAGES.values() if stage.retries_rows)

everything = dg.define_asset_job(
    "everything", dg.AssetSelection.all() - CHAMPION, description="Bring every stage up to date."
)

reevaluate = dg.define_asset_job(
    "reevaluate", CHAMPION, description="Score the registry's champion again and compare it with its last scores."
)

recheck_consent = dg.define_asset_job(
    "recheck_consent",
    dg.AssetSelection.assets(CRAWLED),
    description="Ask the sites of stored pictures again; what is opted out or gone since leaves the shards.",
    tags={RECHECK_TAG: "true"},
)

monthly_reevaluation = dg.ScheduleDefinition(
    name="monthly_reevaluation",
    job=reevaluate,
    cron_schedule="0 4 1 * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="On the first of a month, 04:00 UTC: re-evaluates the champion, though nothing changed. Off until it "
    "is switched on in the UI.",
)

monthly_recheck = dg.ScheduleDefinition(
    name="monthly_recheck",
    job=recheck_consent,
    cron_schedule="0 4 1 * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Each 1st, 04:00 UTC: asks about stored pictures again. Off until it is switched on in the UI.",
)


def weekly_reevaluation(graph: Graph) -> dg.ScheduleDefinition:
    """Mondays: scores the champion again when it, the benchmarks or the code changed, and says why when not."""

    @dg.schedule(
        name="weekly_reevaluation",
        job=reevaluate,
        cron_schedule="0 3 * * 1",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Mondays 03:00 UTC: re-evaluates the champion, unless nothing changed. Off until it is switched on "
        "in the UI.",
    )
    def weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        answer = question(graph)
        if not answer["due"]:
            return dg.SkipReason(answer["reason"])
        return dg.RunRequest(tags={"humanvlm/reason": answer["reason"]})

    return weekly

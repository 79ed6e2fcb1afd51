"""How an asset is brought up to date: by the command that dvc.yaml gives, so that DVC and Dagster agree.

Short stages run inside `dvc repro --single-item`. While DVC runs a stage its neighbours are busy, so long stages
(``meta: {compute: pipes}``) run the same command outside DVC and are committed to it afterwards.
"""

import json
import random
import sys
import time
from collections.abc import Mapping

import dagster as dg

from humanvlm.shown import fenced, masked, shown
from orchestration.dvc_graph import Graph, StageNode, code_version, load_graph, read_lock
from orchestration.process import Finished, environment, stream

BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")
BUSY_LIMIT_S = 1800.0


def bring_up_to_date(
    context: dg.AssetExecutionContext, graph: Graph, node: StageNode, asked: Mapping[str, str]
) -> None:
    """Run the stage if DVC finds it stale, or when more is asked of it.

    asked: variables of its environment, by which `humanvlm STAGE` hears of it. Raises dagster.Failure with the stage's
    one-line error.
    """
    if node.compute == "pipes":
        _run_outside_dvc(context, graph, node, asked)
    else:
        options = ["--force"] if asked else []  # which does not reach the stage
        finished = _dvc(context, graph, "repro", "--single-item", *options, node.name, asked=asked)
        if finished.code:
            raise _failure(node, finished)


def _run_outside_dvc(
    context: dg.AssetExecutionContext, graph: Graph, node: StageNode, asked: Mapping[str, str]
) -> None:
    status = _dvc(context, graph, "status", "--json", node.name, quiet=True)
    if status.code:
        raise _failure(node, status)
    if not asked and json.loads(status.tail[-1]) == {}:
        context.log.info(f"Stage '{node.name}' didn't change, skipping")
        return
    before = _snapshot(graph, node)
    client = dg.PipesSubprocessClient(env=environment(**asked), cwd=str(graph.root))
    try:
        run = client.run(context=context, command=[sys.executable, "-m", "orchestration.launch", node.cmd])
    except dg.DagsterExecutionInterruptedError:
        raise
    except dg.DagsterError as error:
        raise dg.Failure(
            f"{node.name}: its launcher died ({shown(str(error))}); materialize again to resume"
        ) from error
    message = run.get_custom_messages()[-1]
    finished = Finished(message["code"], tuple(message["tail"]))
    if finished.code:
        raise _failure(node, finished)
    if _snapshot(load_graph(graph.root), node) != before:
        raise dg.Failure(f"{node.name}: its parameters, code or inputs changed while it ran; materialize again")
    committed = _dvc(context, graph, "commit", "--force", node.name)
    if committed.code:
        raise _failure(node, committed)


def _snapshot(graph: Graph, node: StageNode) -> object:
    """What the run stands on. The stage itself verifies the bytes of its inputs."""
    locked = read_lock(graph)
    return code_version(graph, node), [locked[name].data_version for name in node.inputs if name in locked]


def _dvc(
    context: dg.AssetExecutionContext, graph: Graph, *arguments: str, asked: Mapping[str, str] = {}, quiet: bool = False
) -> Finished:
    """Run a DVC command; wait for its repository lock, and try again while a neighbouring stage is being run."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
    env = environment(**asked)
    deadline = time.monotonic() + BUSY_LIMIT_S
    while True:
        finished = stream(command, graph.root, env, context.log.debug if quiet else context.log.info)
        busy = finished.code != 0 and any(text in line for line in finished.tail for text in BUSY)
        if not busy or time.monotonic() > deadline:
            return finished
        pause = random.uniform(1, 4)
        context.log.info(f"DVC is busy with a neighbouring stage; trying again in {pause:.0f} s")
        time.sleep(pause)


def _failure(node: StageNode, finished: Finished) -> dg.Failure:
    return dg.Failure(
        f"{node.name}: {finished.error.removeprefix('humanvlm: ')}",
        metadata={
            "command": masked(node.cmd),
            "exit code": finished.code,
            "last lines": dg.MetadataValue.md(fenced(finished.tail)),
        },
        allow_retries=False,
    )

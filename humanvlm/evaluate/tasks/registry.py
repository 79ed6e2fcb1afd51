"""Every benchmark, by the name of its kind. To add one, write its file and list its ``TASK`` here."""

from collections.abc import Mapping

from humanvlm.evaluate.tasks import (
    amber,
    attributes,
    captions,
    chair,
    choice,
    face_human,
    facebench,
    humanpcr,
    keypoints,
    mme,
    pope,
    rec,
    reg,
    vqa,
)
from humanvlm.evaluate.tasks.base import Task

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        captions.TASK,
        reg.TASK,
        vqa.TASK,
        rec.TASK,
        keypoints.TASK,
        pope.TASK,
        mme.TASK,
        choice.TASK,
        amber.TASK,
        chair.TASK,
        face_human.TASK,
        facebench.TASK,
        humanpcr.TASK,
        attributes.TASK,
    )
}

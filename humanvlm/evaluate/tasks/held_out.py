"""Held-out rows of the crawl as samples of the task ``holdout``, and what its baselines are made of."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from humanvlm.data import prompts
from humanvlm.data.detections import area
from humanvlm.data.facts import Facts, facts_from_json
from humanvlm.data.shards import list_shards, open_shard, read_rows
from humanvlm.evaluate.metrics.ptb import tokenize
from humanvlm.evaluate.tasks.base import Sample
from humanvlm.evaluate.tasks.pictures import ShardPicture, read_picture

FACE_HEIGHTS = ((0.1, "under 10%"), (0.25, "10% to 25%"), (1.0, "over 25%"))  # of the picture's height
MOST_PEOPLE = 3


def held_out(human_caption: Path) -> Iterator[Sample]:
    """The rows of the split ``test``; their references are the texts that came with them."""
    for shard in list_shards(human_caption):
        columns = ["id", "captions", "short", "captioner", "split"]
        columns += ["facts"] * ("facts" in open_shard(shard).schema_arrow.names)
        for number, row in enumerate(read_rows(shard, columns)):
            if row["split"] == "test":
                slices = slices_of(facts_from_json(row["facts"])) if row.get("facts") else {}
                yield Sample(
                    row["id"], "holdout", row["id"], ShardPicture(shard, number), prompts.CAPTION,
                    tuple(_references(row)), slices=slices,
                )  # fmt: skip


def slices_of(facts: Facts) -> dict[str, str]:
    """Levels of a picture: how many people, the light, and of its largest person the face's height as a share of the
    picture's, apparent gender and apparent age. What was not measured is left out."""
    count = facts.people_count
    found = {"people": str(count) if count < MOST_PEOPLE else f"{MOST_PEOPLE} or more", "light": facts.light}
    if not facts.people:
        return found
    person = max(facts.people, key=lambda person: area(person.box))
    if person.face:
        share = (person.face[3] - person.face[1]) / facts.height
        found["face height"] = next((name for most, name in FACE_HEIGHTS if share <= most), FACE_HEIGHTS[-1][1])
    for name, guess in (("apparent gender", person.gender), ("apparent age", person.stage)):
        if guess:
            found[name] = guess.value
    return found


def most_common_caption(human_caption: Path) -> str | None:
    """The commonest training caption, in tokens; of equally common ones the first in the alphabet. None without any."""
    counts: Counter[str] = Counter()
    for shard in list_shards(human_caption):
        for row in read_rows(shard, ["captions", "short", "captioner", "split"]):
            if row["split"] == "train":
                counts.update(" ".join(tokenize(caption)) for caption in _references(row))
    return min(counts, key=lambda caption: (-counts[caption], caption)) if counts else None


def training_pictures(human_caption: Path, count: int) -> Iterator[Image.Image]:
    """The first ``count`` pictures of the training split, in the order of the shards."""
    for shard in list_shards(human_caption):
        for number, row in enumerate(read_rows(shard, ["split"])):
            if count <= 0:
                return
            if row["split"] == "train":
                count -= 1
                yield read_picture(ShardPicture(shard, number))


def _references(row: Mapping[str, Any]) -> Sequence[str]:
    """The texts that came with the picture, else the caption that was made for it."""
    if row["captioner"] != "source":  # the row's own texts are then alt-texts, which nobody was taught
        return [row["short"]]
    return [text for text in row["captions"] or () if text.strip()] or [row["short"]]

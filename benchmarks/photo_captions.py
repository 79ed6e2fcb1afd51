"""Captions of real photographs: the stages from index to human_caption on photographs that people captioned, and what
the captions say against what those people, boxes and tags say.

The folder holds ``index.jsonl`` (``path``, ``captions``, and where known ``person_boxes_xywh`` and ``tags``) and its
pictures. Written from facts alone (``captioner: template``): the people's captions are never read but for the scores.

    python benchmarks/photo_captions.py ../shared/photos
    python benchmarks/photo_captions.py ../shared/photos --instances ANNOTATIONS_FOLDER  # things, too
    python benchmarks/photo_captions.py ../shared/photos --tree OLD_TREE --out .state/before.json   # another version
    python benchmarks/photo_captions.py ../shared/photos --before .state/before.json  # pictures that both captioned
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from facts import SAID, coco_instances

from humanvlm.caption.checks.claims import find
from humanvlm.caption.checks.evidence import kind_of
from humanvlm.data.shards import read_folder
from humanvlm.evaluate.metrics.captions import reference_frequencies, score_captions
from humanvlm.inspect.pages import write_page

PORT = 8098
COLUMNS = ("url", "short", "detailed", "facts", "captioner")
# What a street-fashion tag is called in a caption. Tags that say too little (skin, accessories) are left out.
GARMENTS = {
    "headwear": (("hat",), ("hat", "cap", "beret", "beanie", "headwear", "helmet", "headscarf")),
    "sunglasses": (("sunglasses",), ("sunglasses",)),
    "glasses": (("glasses",), ("glasses", "spectacles", "eyeglasses")),
    "bag": (("bag", "purse"), ("bag", "handbag", "purse", "backpack", "satchel")),
    "dress": (("dress",), ("dress", "gown")),
    "skirt": (("skirt",), ("skirt", "miniskirt")),
    "trousers": (("pants", "jeans", "leggings"), ("trousers", "pants", "jeans", "slacks", "leggings")),
    "shorts": (("shorts",), ("shorts",)),
    "coat or jacket": (("coat", "jacket", "blazer", "cape"), ("coat", "jacket", "blazer", "cape", "cloak", "suit")),
    "tie": (("tie",), ("tie", "necktie")),
    "scarf": (("scarf",), ("scarf",)),
}
COLOURS = {
    "grey": "gray", "navy": "blue", "teal": "blue", "turquoise": "blue", "violet": "purple", "maroon": "red",
    "beige": "brown", "tan": "brown", "khaki": "brown",
} | {name: name for name in ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray")}  # fmt: skip  # noqa: E501
WORN = (
    "shirt|shirts|t-shirt|tshirt|jacket|coat|sweater|hoodie|top|blouse|vest|dress|skirt|jersey|uniform|suit|outfit|"
    "clothes|clothing|pants|jeans|shorts|trousers|swimsuit|robe|tank top|sweatshirt"
)
WORN_COLOUR = re.compile(rf"\b({'|'.join(COLOURS)})(?: and ({'|'.join(COLOURS)}))?(?: [a-z-]+)? (?:{WORN})\b")


def caption_photos(photos: Path, home: Path, tree: Path) -> Path:
    """Run the stages of ``tree`` in ``home``; what is up to date there stays. Returns the artifact of human_caption."""
    home.mkdir(parents=True, exist_ok=True)
    env = os.environ | {"PYTHONPATH": str(tree.resolve()), "MLFLOW_TRACKING_URI": "none"}
    command = [sys.executable, "-m", "humanvlm.cli"]

    def run(*arguments: str) -> None:
        subprocess.run([*command, *arguments], cwd=home, env=env, check=True)

    run("profile", "photos")
    listed = home / "urls.jsonl"  # without the people's captions: facts would be read out of them
    paths = [json.loads(line)["path"] for line in (photos / "index.jsonl").open(encoding="utf-8")]
    lines = (json.dumps({"url": f"http://127.0.0.1:{PORT}/{path}"}) + "\n" for path in paths)
    listed.write_text("".join(lines), encoding="utf-8")
    run("index", str(listed.resolve()))
    with subprocess.Popen([*command, "serve-files", str(photos), "--port", str(PORT)], cwd=home, env=env) as server:
        try:
            time.sleep(3)
            run("raw_scrape")
        finally:
            server.terminate()
    run("human_scenes")
    run("human_caption", "--set", "human_caption.captioner=template")
    return home / "artifacts" / "human_caption"


def read_captions(artifact: Path) -> dict[str, dict[str, Any]]:
    """Captions and facts by the photograph's path."""
    rows = {
        row["url"].split("/", 3)[3]: {name: row[name] for name in COLUMNS if name != "url"}
        for row in read_folder(artifact, COLUMNS)
    }
    return {path: row | {"facts": json.loads(row["facts"])} for path, row in rows.items()}


def agreement(
    photos: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any]], only: set[str]
) -> dict[str, float]:
    """``short`` against the captions that people wrote. CIDEr's document frequencies are of all photographs."""
    described = {path: photo["captions"] for path, photo in photos.items() if len(photo["captions"]) > 1}
    paths = [path for path in rows if path in described and path in only]
    scored = score_captions(
        paths,
        [rows[path]["short"] for path in paths],
        [described[path] for path in paths],
        idf=reference_frequencies(list(described.values())),
    )
    words = [len(rows[path]["short"].split()) for path in paths]
    return {"pictures": len(paths), "words": sum(words) / len(words)} | scored.scores


def people(photos: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Counts of people against the boxes that annotators drew, of pictures that have such boxes."""
    pairs = [
        (rows[path]["facts"]["people_count"], len(photo["person_boxes_xywh"]))
        for path, photo in photos.items()
        if path in rows and photo.get("person_boxes_xywh")
    ]
    few = [(found, true) for found, true in pairs if true <= 3]
    return {
        "pictures": len(pairs),
        "equal": _share(found == true for found, true in pairs),
        "within one": _share(abs(found - true) <= 1 for found, true in pairs),
        "equal, of one to three": _share(found == true for found, true in few),
        "mean difference": sum(found - true for found, true in pairs) / max(len(pairs), 1),
    }


def things(instances: Mapping[str, set[str]], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Things against COCO's categories, of pictures whose categories are all annotated; people are not counted.

    known: objects of the facts that are sure enough to be told. said: those that ``detailed`` names. A name and a
    category match where WordNet calls one of them a kind of the other. precision: share of the names that are of a
    category in the picture (COCO has 80, and a rocket is none of them); recall: share of the categories that are named.
    """
    pairs = [
        (instances[Path(path).name] - {"person"}, row) for path, row in rows.items() if Path(path).name in instances
    ]
    names = {
        "known": [{one["label"] for one in row["facts"]["objects"] if one["probability"] >= SAID} for _, row in pairs],
        "said": [{claim.value for claim in find(row["detailed"]) if claim.kind == "object"} for _, row in pairs],
    }
    found = {"pictures": float(len(pairs)), "categories": float(sum(len(true) for true, _ in pairs))}
    for kind, listed in names.items():
        right = sum(
            any(_alike(name, one) for one in true)
            for (true, _), told in zip(pairs, listed, strict=True)
            for name in told
        )
        reached = sum(
            any(_alike(name, one) for name in told)
            for (true, _), told in zip(pairs, listed, strict=True)
            for one in true
        )
        found |= {
            f"{kind}: names": float(sum(map(len, listed))),
            f"{kind}: precision": right / max(sum(map(len, listed)), 1),
            f"{kind}: recall": reached / max(found["categories"], 1),
        }
    return found


def _alike(name: str, category: str) -> bool:
    return kind_of(name, category) or kind_of(category, name)


def garments(
    photos: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, int]]:
    """What ``detailed`` says is worn against the tags, by kind: tagged, said, and both."""
    tagged = [(set(photo["tags"]), _words(rows[path]["detailed"])) for path, photo in photos.items()
              if path in rows and photo.get("tags")]  # fmt: skip
    found = {}
    for kind, (tags, names) in GARMENTS.items():
        pairs = [(not tags_here.isdisjoint(tags), not said.isdisjoint(names)) for tags_here, said in tagged]
        found[kind] = {
            "tagged": sum(true for true, _ in pairs),
            "said": sum(said for _, said in pairs),
            "both": sum(true and said for true, said in pairs),
        }
    return found


def colours(photos: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Colours of clothes in ``detailed`` against those that people wrote, of pictures where both name some.

    precision: share of our colours that one of the people wrote; they do not write all they see. recall: of theirs.
    """
    pairs = []
    for path, row in rows.items():
        theirs = {colour for text in photos[path]["captions"] for colour in _worn(text)}
        if theirs:
            pairs.append((set(_worn(row["detailed"])), theirs))
    said = [(ours, theirs) for ours, theirs in pairs if ours]
    hits = sum(len(ours & theirs) for ours, theirs in said)
    return {
        "pictures": len(pairs),
        "with colours": len(said),
        "one in common": _share(bool(ours & theirs) for ours, theirs in said),
        "precision": hits / max(sum(len(ours) for ours, _ in said), 1),
        "recall": hits / max(sum(len(theirs) for _, theirs in pairs), 1),
    }


def _worn(text: str) -> Iterator[str]:
    for match in WORN_COLOUR.finditer(text.lower()):
        yield from (COLOURS[name] for name in match.groups() if name)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z-]+", text.lower()))


def _share(values: Iterator[bool]) -> float:
    listed = list(values)
    return sum(listed) / max(len(listed), 1)


def show(title: str, figures: Mapping[str, Any]) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        if isinstance(value, Mapping):
            value = "  ".join(f"{key} {number:>4}" for key, number in value.items())
        print(f"  {name:<24}{f'{value:.4f}' if isinstance(value, float) else value:>12}")


def measure(
    photos: Mapping[str, Any], rows: Mapping[str, Any], only: Sequence[str], instances: Mapping[str, set[str]]
) -> dict[str, Any]:
    return {
        "short against people's captions": agreement(photos, rows, set(only)),
        "people against boxes": people(photos, rows),
        **({"things against COCO's categories": things(instances, rows)} if instances else {}),
        "worn, against tags": garments(photos, rows),
        "colours worn, against people's captions": colours(photos, rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder with index.jsonl and its pictures")
    parser.add_argument("--home", type=Path, default=Path(".state/photos"), help="where the stages run")
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[1], help="code that captions")
    parser.add_argument("--out", type=Path, default=Path(".state/photos.json"), help="captions and figures, as JSON")
    parser.add_argument("--before", type=Path, help="what --out wrote of another version, to compare with")
    parser.add_argument("--instances", type=Path, help="folder with COCO's instances_*.json of some of the pictures")
    parser.add_argument("--page", type=int, default=60, help="pictures on the page, 0: none")
    options = parser.parse_args()
    photos = {row["path"]: row for row in map(json.loads, (options.photos / "index.jsonl").open(encoding="utf-8"))}
    artifact = caption_photos(options.photos.resolve(), options.home, options.tree)
    rows = read_captions(artifact)
    figures = measure(photos, rows, list(rows), coco_instances(options.instances) if options.instances else {})
    options.out.write_text(json.dumps({"rows": rows, "figures": figures}), encoding="utf-8")
    for title, found in figures.items():
        show(title, found)
    result: dict[str, Any] = {"figures": figures}
    if options.before:
        earlier = json.loads(options.before.read_text(encoding="utf-8"))["rows"]
        both = [path for path in rows if path in earlier]
        result["in both"] = {
            "before": agreement(photos, earlier, set(both)),
            "after": agreement(photos, rows, set(both)),
        }
        for title, found in result["in both"].items():
            show(f"short, pictures that both captioned: {title}", found)
    if options.page:
        print(f"\n{write_page(artifact, rows=options.page, out=options.home / 'photos.html')}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()

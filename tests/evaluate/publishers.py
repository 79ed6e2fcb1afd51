"""Small benchmarks in the files of their publishers, made up here, with what is right worked out by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from humanvlm.evaluate.tasks.face_human import SUBSETS

from .small_run import jpeg

AMBER_WORDS = {
    "person": ["people", "man", "woman"],
    "dog": [],
    "forest": ["tree", "bush"],
    "table": ["desk"],
    "chair": [],
    "cup": [],
    "cat": [],
    "light": [],
}
AMBER_TRUTH: list[dict[str, Any]] = [
    {"id": 1, "type": "generative", "truth": ["person", "dog", "forest"], "hallu": ["cat", "table"]},
    {"id": 2, "type": "generative", "truth": ["table", "cup"], "hallu": ["chair"]},
    {"id": 3, "type": "discriminative-hallucination", "truth": "no"},
    {"id": 4, "type": "discriminative-attribute-state", "truth": "yes"},
    {"id": 5, "type": "discriminative-attribute-number", "truth": "no"},
    {"id": 6, "type": "relation", "truth": "no"},
]
AMBER_ASKED = {
    1: "Describe this image.",
    2: "Describe this image.",
    3: "Is there a chair in this image?",
    4: "Is the table clean in this image?",
    5: "Are there two cups in this image?",
    6: "Is there direct contact between the cup and dog?",
}
SYNONYMS = (
    "person, man, woman, child, worker\ntrain, locomotive\nbear, panda\nchair, seat, stool\ntie, bow tie\n"
    "hot dog\ntoilet, urinal\nplate, dish\n"
)


def write(path: Path, value: Any) -> Path:
    """A JSON document, JSON lines of a list where the name ends so, or text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in value))
    else:
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def picture(path: Path, shade: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(shade))


def amber(folder: Path) -> Mapping[str, str]:
    """AMBER's ``data`` and ``image``; the source of all its queries."""
    write(folder / "data" / "annotations.json", AMBER_TRUTH)
    write(folder / "data" / "relation.json", AMBER_WORDS)
    write(folder / "data" / "safe_words.txt", "light\nsign\n")
    names = {number: f"AMBER_{1 if number in (1, 6) else 2}.jpg" for number in AMBER_ASKED}
    queries = [{"id": number, "image": names[number], "query": text} for number, text in AMBER_ASKED.items()]
    for name in set(names.values()):
        picture(folder / "image" / name, 60 * int(name[6]))
    path = write(folder / "data" / "query" / "query_all.json", queries)
    return {"kind": "amber", "references": str(path), "images": str(folder / "image")}


def chair(folder: Path) -> Mapping[str, str]:
    """COCO's annotations of three pictures and the synonyms of CHAIR in one folder."""
    categories = [
        {"id": number, "name": name, "supercategory": "animal" if name == "bear" else "thing"}
        for number, name in enumerate(("person", "train", "bear", "chair", "tie", "hot dog", "toilet"), 1)
    ]
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in (7, 8, 9)]
    outlined = [{"image_id": image, "category_id": kind} for image, kind in ((7, 1), (7, 1), (8, 2), (9, 7))]
    write(
        folder / "coco" / "instances_val.json",
        {"categories": categories, "images": images, "annotations": outlined},
    )
    captions = [
        {"id": 1, "image_id": 7, "caption": "A man with bow ties."},
        {"id": 2, "image_id": 8, "caption": "It is on the train track."},
        {"id": 3, "image_id": 9, "caption": "The seat of a toilet."},
    ]
    write(folder / "coco" / "captions_val.json", {"images": images, "annotations": captions})
    write(folder / "coco" / "synonyms.txt", SYNONYMS)
    for image in images:
        picture(folder / "val" / str(image["file_name"]), 20 * int(image["id"]))
    return {"kind": "chair", "references": str(folder / "coco"), "images": str(folder / "val")}


def face_human(folder: Path, ending: str = "") -> Mapping[str, str]:
    """A folder of Face-Human-Bench in English, or with ``_zh`` in Chinese: two problems a file, the second one's first
    option right; where one picture serves two subsets it has both versions."""
    versions: dict[str, list[str]] = {}
    for name, version, _, _ in SUBSETS:
        versions.setdefault(name, []).append(version)
    for name, kinds in versions.items():
        rows = []
        for number in (1, 2):
            paths = {kind: f"eval_data/{name}/{kind}/sample_{number:04d}.jpg" for kind in kinds}
            for path in paths.values():
                picture(folder / "pictures" / path, 100 * number)
            options = ["yes", "no"] if "recognition" in name else [12, 22, 32, 42]
            asked = {"question": f"What of {name}?", "options": options, "answer": 2 - number}
            rows.append({"type": name, "QA": asked, "image": {"image_paths": paths}})
        write(folder / "json" / f"{name}{ending}.json", {"data": rows})
    return {"kind": "face_human", "references": str(folder / "json"), "images": str(folder / "pictures")}


FACEBENCH: list[dict[str, Any]] = [
    {"question_id": "q0", "question_type": "TFQ", "text": "A beard?", "options": ["Yes", "No",
     "Information not visible"], "gt_answer": "Yes", "metadata": {"view": "Appearance", "attribute_level": "level 1"}},
    {"question_id": "q1", "question_type": "SCQ", "text": "Where?", "options": ["Chin area", "Side to side",
     "Chin area and side to side"], "gt_answer": "Chin area and side to side",
     "metadata": {"view": "Appearance", "attribute_level": "level 3"}},
    {"question_id": "q2", "question_type": "MCQ", "text": "Which?", "options": ["Hat", "Glasses", "Scarf", "Mask"],
     "gt_answer": ["Hat", "Scarf"], "metadata": {"view": "Accessories", "attribute_level": "level 1"}},
    {"question_id": "q3", "question_type": "OEQ", "text": "What colour?", "options": [], "gt_answer": ["Dark brown"],
     "metadata": {"view": "Appearance", "attribute_level": "level 3"}},
]  # fmt: skip


def facebench(folder: Path) -> Mapping[str, str]:
    """FaceBench's questions about two faces."""
    rows = [
        {"image_id": image, "instruction": "Please select.", "conditions": {}} | row
        for image in ("a.jpg", "b.jpg")
        for row in FACEBENCH
    ]
    for shade, image in enumerate(("a.jpg", "b.jpg")):
        picture(folder / "images" / image, 90 * shade)
    path = write(folder / "test.jsonl", rows)
    return {"kind": "facebench", "references": str(path), "images": str(folder / "images")}


def humanpcr(folder: Path) -> Mapping[str, str]:
    """Three questions about one picture each, one about two, one about a video."""
    kinds = ((0, "P", ["v/a.jpg"]), (0, "P", ["v/b.jpg"]), ("0", "C", ["v/a.jpg"]), (1, "C", ["v/a.jpg", "v/b.jpg"]),
             (2, "C", ["v/c.mp4"]))  # fmt: skip
    rows = [
        {"question": f"What is {number}?", "answer": "sitting", "distractors": ["standing", "lying", "running"],
         "level": level, "input_type": kind, "input_path": paths}
        for number, (kind, level, paths) in enumerate(kinds)
    ]  # fmt: skip
    for shade, name in enumerate(("a.jpg", "b.jpg")):
        picture(folder / "visual_data" / "v" / name, 90 * shade)
    path = write(folder / "HumanPC_preview.json", rows)
    return {"kind": "humanpcr", "references": str(path), "images": str(folder / "visual_data")}


MAKERS = {"amber": amber, "chair": chair, "face_human": face_human, "facebench": facebench, "humanpcr": humanpcr}

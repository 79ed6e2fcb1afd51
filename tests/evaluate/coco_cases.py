"""Seeded ground truth and results with everything that COCOeval treats in a way of its own."""

import random
from typing import Any

PICTURES = 5


def coco_case(kind: str, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Crowds, ``ignore``, people without keypoints, ties in score, more results than are looked at, all sizes."""
    draw = random.Random(seed).random
    categories = [1] if kind == "keypoints" else [1, 2, 3]
    images = [{"id": 100 - 7 * number, "width": 640, "height": 480} for number in range(PICTURES)]
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, image in enumerate(images):
        side = (12, 60, 300)[number % 3]
        for _ in range(int(6 * draw())):
            box = [round(300 * draw(), 1), round(200 * draw(), 1), 1 + round(side * draw()), 1 + round(side * draw())]
            points = [int(draw() * 3) if place % 3 == 2 else _inside(box, place, draw()) for place in range(51)]
            if draw() < 0.2:
                points = [0] * 51
            annotation = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": _one(categories, draw())}
            annotation |= {"bbox": box, "area": round(box[2] * box[3] * (0.4 + 0.6 * draw()), 2)}
            annotation |= {"iscrowd": int(draw() < 0.2), "ignore": int(draw() < 0.1)}
            annotations.append(annotation | {"keypoints": points, "num_keypoints": sum(v > 0 for v in points[2::3])})
        own = [one for one in annotations if one["image_id"] == image["id"]] or annotations[-1:]
        for _ in range((3, 0, 25, 8, 400)[number] if own else 0):
            like: dict[str, Any] = _one(own, draw())
            away = _one([0.0, 0.02, 0.1, 0.3], draw())
            box = [round(side + away * like["bbox"][2] * (draw() - 0.5), 2) for side in like["bbox"]]
            points = [
                value if place % 3 == 2 else round(value + away * like["bbox"][2] * (draw() - 0.5), 2)
                for place, value in enumerate(like["keypoints"])
            ]
            result = {"image_id": image["id"], "score": _one([0.2, 0.5, 0.5, 0.9, round(draw(), 2)], draw())}
            result |= {"category_id": _one([like["category_id"]] * 9 + [77], draw())}
            results.append(result | ({"keypoints": points} if kind == "keypoints" else {"bbox": [abs(s) for s in box]}))
    names = [{"id": category, "name": f"thing {category}"} for category in categories]
    return {"images": images, "annotations": annotations, "categories": names}, results


def _inside(box: list[float], place: int, share: float) -> float:
    return round(box[place % 3] + share * box[2 + place % 3], 1)


def _one(values: Any, share: float) -> Any:
    return values[int(len(values) * share)]

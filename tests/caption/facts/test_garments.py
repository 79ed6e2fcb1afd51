"""Garments of a painted figure: where its joints are, in its colours, with its sleeves."""

from typing import Any

import cv2
import numpy as np
import pytest

from humanvlm.caption.facts import garments
from humanvlm.caption.facts.colour import lab_of
from humanvlm.caption.facts.crops import Body
from humanvlm.caption.facts.garments import garments_of

SKIN, RED, BLUE, WHITE, GREEN = (224, 172, 140), (200, 30, 30), (30, 60, 170), (250, 250, 248), (40, 140, 50)
JOINTS = {
    **{5: (150, 70), 6: (106, 70), 7: (165, 105), 8: (91, 105), 9: (172, 140), 10: (84, 140)},
    **{11: (142, 135), 12: (114, 135), 13: (145, 180), 14: (111, 180), 15: (146, 225), 16: (110, 225)},
}
LIMBS = {"upper arm": ((5, 7), (6, 8)), "forearm": ((7, 9), (8, 10)), "thigh": ((11, 13), (12, 14))} | {
    "shin": ((13, 15), (14, 16))
}


def figure(unseen: tuple[int, ...] = (), **colours: tuple[int, int, int]) -> Body:
    """On a green ground a red shirt, blue trousers, white shoes and bare arms, or limbs in other colours."""
    rgb = np.full((256, 256, 3), GREEN, dtype=np.uint8)
    paint = {"trunk": RED, "upper_arm": RED, "forearm": SKIN, "thigh": BLUE, "shin": BLUE, **colours}
    for limb, pairs in LIMBS.items():
        for start, end in pairs:
            cv2.line(rgb, JOINTS[start], JOINTS[end], paint[limb.replace(" ", "_")], 14)
    cv2.rectangle(rgb, (100, 64), (156, 138), paint["trunk"], -1)
    for ankle in (15, 16):
        x, y = JOINTS[ankle]
        cv2.rectangle(rgb, (x - 9, y + 3), (x + 9, y + 18), WHITE, -1)
    joints = np.zeros((17, 3), dtype=np.float32)
    for joint, (x, y) in JOINTS.items():
        joints[joint] = (x, y, 0.0 if joint in unseen else 0.9)
    return Body(rgb, np.any(rgb != GREEN, axis=-1), joints, 1.0, (0.0, 0.0))


def skin() -> Any:
    return lab_of(np.full((2, 2, 3), SKIN, dtype=np.uint8))[0, 0]


def told(body: Body, colour: Any = None) -> dict[str, tuple[str, str | None]]:
    found = garments_of(body, None, skin() if colour is None else colour, None)
    return {one.region: (one.colours[0].value, one.length.value if one.length else None) for one in found}


def test_each_region_has_its_colour_and_length() -> None:
    assert told(figure()) == {
        "upper": ("red", "short-sleeved"),
        "lower": ("blue", "long"),
        "feet": ("white", None),
    }


def test_sleeves_and_hems_end_where_skin_begins() -> None:
    assert told(figure(forearm=RED))["upper"] == ("red", "long-sleeved")
    assert told(figure(upper_arm=SKIN))["upper"] == ("red", "sleeveless")
    assert told(figure(shin=SKIN))["lower"] == ("blue", "short")


def test_without_the_colour_of_the_skin_nothing_is_said_of_sleeves() -> None:
    assert [(one.region, one.length) for one in garments_of(figure(), None, None, None)] == [
        ("upper", None),
        ("lower", None),
        ("feet", None),
    ]


def test_regions_whose_joints_are_not_seen_have_no_garment() -> None:
    assert set(told(figure(unseen=(13, 14, 15, 16)))) == {"upper"}
    assert set(told(figure(unseen=(15, 16)))) == {"upper", "lower"}
    assert told(figure(unseen=(15, 16)))["lower"] == ("blue", None)


def test_bare_legs_wear_nothing() -> None:
    assert "lower" not in told(figure(thigh=SKIN, shin=SKIN))


def test_what_may_be_a_bare_trunk_is_not_told() -> None:
    shaded, coat = (150, 110, 88), (70, 48, 30)
    assert "upper" not in told(figure(trunk=shaded))
    assert told(figure(trunk=coat))["upper"][0] == "brown"
    unknown = garments_of(figure(trunk=coat), None, None, None)  # no face tells the colour of this skin
    assert "upper" not in {one.region for one in unknown}


def test_what_is_behind_does_not_count() -> None:
    body = figure()
    everything = Body(body.rgb, np.zeros_like(body.mask), body.joints, 1.0, (0.0, 0.0))
    assert garments_of(everything, None, skin(), None) == ()


def test_of_a_person_shown_in_close_up_no_legs_are_told() -> None:
    """Pose networks find all joints of every picture; a face that large has its feet far below the picture."""
    near, far = (98.0, 10.0, 158.0, 80.0), (118.0, 30.0, 138.0, 55.0)
    regions = [{one.region for one in garments_of(figure(), face, skin(), None)} for face in (near, far)]
    assert "feet" not in regions[0]
    assert regions[1] >= {"lower", "feet"}


@pytest.mark.parametrize(
    ("white", "grey", "expected"),
    [
        (0.4, 0.6, {"white": 1.0}),
        (0.6, 0.4, {"white": 1.0}),
        (0.2, 0.8, {"grey": 0.8, "white": 0.2}),
        (0.0, 1.0, {"grey": 1.0}),
    ],
)
def test_shadows_of_white_cloth_are_white(white: float, grey: float, expected: dict[str, float]) -> None:
    shares = {name: share for name, share in (("white", white), ("grey", grey)) if share}
    assert {colour.value: colour.probability for colour in garments._whitened(shares)} == expected

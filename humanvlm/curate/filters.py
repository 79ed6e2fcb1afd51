"""Filters in the order they run: cheap ones first, then those that drop most for their cost.

A filter is its own drop reason: it returns None to keep a picture, or a detail that says why not (after datatrove's
filters, which return True or a reason).
"""

from collections.abc import Callable

from humanvlm.config.human_scenes import HumanScenes
from humanvlm.curate.language import foreign_score
from humanvlm.curate.minors import adult_named, minor_named, unsafe_named
from humanvlm.curate.scene import Scene

Filter = Callable[[Scene, HumanScenes], str | None]


def too_small(scene: Scene, config: HumanScenes) -> str | None:
    side = min(scene.width, scene.height)
    return f"{side} px < {config.min_side} px" if side < config.min_side else None


def aspect_ratio(scene: Scene, config: HumanScenes) -> str | None:
    ratio = max(scene.width, scene.height) / min(scene.width, scene.height)
    return f"{ratio:.2f} > {config.max_aspect_ratio}" if ratio > config.max_aspect_ratio else None


def too_dark(scene: Scene, config: HumanScenes) -> str | None:
    least = config.exposure_range[0]
    return f"exposure {scene.exposure:.3f} < {least}" if scene.exposure < least else None


def too_bright(scene: Scene, config: HumanScenes) -> str | None:
    most = config.exposure_range[1]
    return f"exposure {scene.exposure:.3f} > {most}" if scene.exposure > most else None


def blurred(scene: Scene, config: HumanScenes) -> str | None:
    return (
        f"sharpness {scene.sharpness:.1f} < {config.min_sharpness}" if scene.sharpness < config.min_sharpness else None
    )


def wrong_language(scene: Scene, config: HumanScenes) -> str | None:
    """A row without text has no wrong language, nor has one whose texts could well be of a language that is wanted."""
    if not config.languages:
        return None
    score = foreign_score(scene.languages, config.languages)
    if score < config.min_foreign_score:
        return None
    return f"{next(iter(scene.languages))} ({score:.3f}), not {', '.join(config.languages)}"


def nsfw(scene: Scene, config: HumanScenes) -> str | None:
    return f"{scene.nsfw:.3f} > {config.max_nsfw}" if scene.nsfw > config.max_nsfw else None


def unsafe_minor(scene: Scene, config: HumanScenes) -> str | None:
    """Anything unsafe where somebody may be a minor: by a face, by the texts, or because neither tells that all are
    adults."""
    word = unsafe_named(scene.texts)
    if not word and scene.nsfw <= config.max_nsfw_minor:
        return None
    unsafe = f"the text says {word!r}" if word else f"nsfw {scene.nsfw:.3f} > {config.max_nsfw_minor}"
    if named := minor_named(scene.texts):
        return f"{unsafe}; the text says {named!r}"
    if scene.minor is None:
        return None if adult_named(scene.texts) else f"{unsafe}; no face tells an age"
    return f"{unsafe}; minor {scene.minor:.3f} > {config.max_minor}" if scene.minor > config.max_minor else None


def no_face(scene: Scene, config: HumanScenes) -> str | None:
    return "no face found" if config.require == "face" and not scene.faces else None


def no_person(scene: Scene, config: HumanScenes) -> str | None:
    if config.require == "face" or scene.people or (config.require == "face_or_person" and scene.faces):
        return None
    return "no person found" if config.require == "person" else "neither person nor face found"


def face_too_small(scene: Scene, config: HumanScenes) -> str | None:
    """Only where a face is what keeps the picture."""
    if config.require == "person" or (config.require == "face_or_person" and scene.people):
        return None
    side = max(face.side for face in scene.faces)
    return f"largest face {side:.0f} px < {config.min_face_side} px" if side < config.min_face_side else None


FILTERS: tuple[Filter, ...] = (
    too_small,
    aspect_ratio,
    too_dark,
    too_bright,
    blurred,
    wrong_language,
    no_face,
    no_person,
    face_too_small,
    nsfw,
    unsafe_minor,
)


def first_reason(scene: Scene, config: HumanScenes) -> tuple[str, str] | None:
    """The first filter that drops the picture, and its detail; None when all keep it."""
    for check in FILTERS:
        if detail := check(scene, config):
            return check.__name__, detail
    return None

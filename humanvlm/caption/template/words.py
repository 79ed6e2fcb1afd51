"""What the values of facts are called in captions: nouns, pronouns and phrases, in one place.

``SAID`` lists the words by which a value may be said, for those who look for it in a text. A value that no table knows
is written as it is.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Pronouns(NamedTuple):
    """Subject, object, possessive; whether verbs are in the plural."""

    subject: str
    object: str
    whose: str
    plural: bool = False


PRONOUNS = {
    "female": Pronouns("she", "her", "her"),
    "male": Pronouns("he", "him", "his"),
    "": Pronouns("they", "them", "their", plural=True),
}
NOUNS = {
    ("child", "female"): "girl",
    ("child", "male"): "boy",
    ("child", ""): "child",
    ("teenager", "female"): "teenage girl",
    ("teenager", "male"): "teenage boy",
    ("teenager", ""): "teenager",
    ("", "female"): "woman",
    ("", "male"): "man",
    ("", ""): "person",
}
MINORS = {"child", "teenager"}
AGED = {"young adult": "young", "middle-aged": "middle-aged", "older": "older"}
DECADES = {
    "20s": "twenties",
    "30s": "thirties",
    "40s": "forties",
    "50s": "fifties",
    "60s": "sixties",
    "70s": "seventies",
    "80s": "eighties",
    "90s": "nineties",
}
PLACES = {"left": "on the left", "centre": "in the middle", "right": "on the right"}
SHOTS = {  # after "is"
    "close-up": ("shown in close-up", "seen from close up"),
    "half-length": ("seen from the waist up", "shown from the waist up", "visible from the waist up"),
    "full-length": ("seen at full length", "shown from head to toe", "visible from head to toe"),
    "distant": ("at some distance from the camera", "seen from a distance", "some way off from the camera"),
    "partial": ("only partly in view", "partly out of view", "seen only in part"),
}
# Only what the classifier tells reliably on photographs: it takes blurred and dark faces for sad, fearful or surprised.
EXPRESSIONS = {"happy": "a smile", "neutral": "a neutral expression"}
POSES = {
    "standing": ("stands", "stand"),
    "sitting": ("sits", "sit"),
    "lying": ("lies", "lie"),
    "kneeling": ("kneels", "kneel"),
    "crouching": ("crouches", "crouch"),
    "walking": ("walks", "walk"),
    "running": ("runs", "run"),
    "jumping": ("jumps", "jump"),
}
ARMS = {"arms crossed": "crossed arms"}
HEADS = {  # after "with her head"
    "tilted left": "tilted to the left",
    "tilted right": "tilted to the right",
    "raised": "raised",
    "lowered": "lowered",
    "upright": "upright",
}
TURNS = {  # singular, plural, participle
    "camera": (
        ("faces the camera", "face the camera", "facing the camera"),
        ("looks at the camera", "look at the camera", "looking at the camera"),
    ),
    "left": (
        ("is turned to the left", "are turned to the left", "turned to the left"),
        ("faces left", "face left", "facing left"),
        ("looks to the left", "look to the left", "looking to the left"),
    ),
    "right": (
        ("is turned to the right", "are turned to the right", "turned to the right"),
        ("faces right", "face right", "facing right"),
        ("looks to the right", "look to the right", "looking to the right"),
    ),
    "away": (
        ("faces away from the camera", "face away from the camera", "facing away from the camera"),
        ("is seen from behind", "are seen from behind", "seen from behind"),
    ),
}
GARMENTS = {"upper": "top", "lower": "bottoms", "whole": "outfit", "feet": "footwear"}  # where no kind is known
INTIMATE = {
    "swimsuit",
    "bikini",
    "bra",
    "brassiere",
    "underwear",
    "lingerie",
    "miniskirt",
    "swimming trunks",
    "maillot",
}
CARRIED = {"backpack", "handbag", "suitcase", "bag", "umbrella", "briefcase", "purse"}
FIXED = {  # what nobody is said to stand or sit with: how people stand to it is told by relations, or not at all
    *("bench", "chair", "sofa", "bed", "dining table", "toilet", "television", "refrigerator", "oven", "microwave"),
    *("sink", "clock", "vase", "potted plant", "traffic light", "fire hydrant", "stop sign", "parking meter"),
    *("car", "bus", "train", "truck", "boat", "airplane"),
}
MERGED_NAMES = {"tv": "television", "cell phone": "mobile phone", "couch": "sofa", "donut": "doughnut"}
RELATIONS = {
    "left of": ("to the left of", "left of"),
    "right of": ("to the right of", "right of"),
    "behind": ("behind",),
    "in front of": ("in front of",),
    "on": ("on",),
    "under": ("under", "beneath"),
    "beside": ("beside", "next to"),
}
LIGHTS = {
    "dim": ("the light is dim", "the scene is in dim light", "the scene is dimly lit", "the lighting is dim"),
    "bright": (
        "the light is bright",
        "the scene is in bright light",
        "the scene is brightly lit",
        "the lighting is bright",
    ),
    "even": ("the light is even", "the scene is in even light", "the scene is evenly lit", "the lighting is even"),
}
CONTRASTS = {
    "low": ("with soft contrasts", "with low contrast", "with little contrast"),
    "medium": ("with moderate contrasts", "with medium contrast"),
    "high": ("with strong contrasts", "with high contrast"),
}
# CelebA's names that describe what can be seen, as noun phrases. Its judgements of looks and shapes are not said.
CELEBA = {
    "5_o_Clock_Shadow": "stubble",
    "Bangs": "bangs",
    "Bushy_Eyebrows": "bushy eyebrows",
    "Goatee": "a goatee",
    "Receding_Hairline": "a receding hairline",
    "Rosy_Cheeks": "rosy cheeks",
    "Sideburns": "sideburns",
    "Smiling": "a smile",
    "Mustache": "a moustache",
}
CELEBA_WORN = {
    "Eyeglasses": "glasses",
    "Wearing_Earrings": "earrings",
    "Wearing_Hat": "a hat",
    "Wearing_Lipstick": "lipstick",
    "Wearing_Necklace": "a necklace",
    "Wearing_Necktie": "a tie",
}
CELEBA_HAIR = {"Wavy_Hair": "wavy", "Straight_Hair": "straight"}
CELEBA_HAIR_COLOURS = {"Black_Hair": "black", "Blond_Hair": "blond", "Brown_Hair": "brown", "Gray_Hair": "grey"}

# By field of Person, or kind of fact: value -> the words that say it, besides the value itself.
SAID: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "gender": {"female": ("woman", "girl", "she", "her"), "male": ("man", "boy", "he", "him", "his")},
    "stage": {
        "child": ("child", "girl", "boy"),
        "teenager": ("teenager", "teenage girl", "teenage boy"),
        "young adult": ("young",),
    },
    "age": {value: (word,) for value, word in DECADES.items()},
    "expression": {"happy": ("smile", "smiling", "smiles"), "neutral": ("neutral expression",)},
    "facing": {
        "camera": ("facing the camera", "faces the camera", "looks at the camera"),
        "left": ("turned to the left", "faces left", "looking to the left"),
        "right": ("turned to the right", "faces right", "looking to the right"),
        "away": ("seen from behind", "facing away"),
    },
    "head": {value: (phrase,) for value, phrase in HEADS.items()},
    "hair_length": {"bald": ("bald head",), "short": ("short hair",), "long": ("long hair",)},
    "beard": {"none": ("clean-shaven",)},
    "headwear": {"none": ("bareheaded",)},
    "pose": POSES,
    "arms": {"arms crossed": ("crossed arms",)},
    "shot": SHOTS,
    "region": {region: (word,) for region, word in GARMENTS.items()},
    "label": {label: (word,) for label, word in MERGED_NAMES.items()},
    "light": {"dim": ("dim", "dimly"), "bright": ("bright", "brightly"), "even": ("even", "evenly")},
    "contrast": {"low": ("soft", "low", "little"), "medium": ("moderate", "medium"), "high": ("strong", "high")},
    "monochrome": {"true": ("black-and-white", "in black and white")},
}

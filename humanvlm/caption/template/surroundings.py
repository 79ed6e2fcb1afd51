"""Phrases of what is around the people: the place, objects, legible text, the background's colours, the light."""

from collections import defaultdict

from humanvlm.caption.template.english import article, counted, join, sentence, takes_plural
from humanvlm.caption.template.sheet import Sheet, called
from humanvlm.caption.template.words import CONTRASTS, LIGHTS, PLACES
from humanvlm.data.facts import Thing

MOST_LISTED = 4  # objects in one sentence


def location(sheet: Sheet) -> str:
    """Outdoors in front of a palace; indoors; on a beach; empty when neither is known."""
    place, setting = sheet.sure(sheet.facts.place), sheet.sure(sheet.facts.setting)
    if place in setting:
        place = ""
    return f"{place} {setting}".strip()


def things(sheet: Sheet, taken: set[str]) -> list[Thing]:
    """Probable objects that neither the setting nor an activity names, nor ``taken`` (as they are called)."""
    doing = " ".join(sheet.sure(person.activity) for person in sheet.facts.people)
    named = f"{sheet.sure(sheet.facts.setting)} {doing}"
    carried = {guess.value for person in sheet.facts.people for guess in person.accessories if sheet.sure(guess)}
    return [
        thing
        for thing in sheet.facts.objects
        if thing.probability >= sheet.least
        and called(thing.label) not in taken
        and not ((called(thing.label) in named or thing.label in named or thing.label in carried) and thing.count == 1)
    ]


def thing_phrase(sheet: Sheet, thing: Thing) -> str:
    """A red umbrella; three chairs. The colour is of the surest one, so it is said of one alone."""
    colour = sheet.tinted(thing.colour) if thing.count == 1 else ""
    name = called(thing.label)
    return counted(thing.count, name if colour in name else f"{colour} {name}")


def place_sentences(sheet: Sheet) -> list[str]:
    """Where the picture appears to have been taken."""
    where = location(sheet)
    if not where:
        return []
    picture = sheet.pick("picture", "photograph", "image")
    if not sheet.sure(sheet.facts.setting):
        return [sentence(sheet.pick(f"the scene is {where}", f"the {picture} appears to have been taken {where}"))]
    return [
        sentence(
            sheet.pick(
                f"the {picture} appears to have been taken {where}",
                f"the scene appears to be {where}",
                f"the place appears to be {where}",
                f"the setting, it seems, is {where}",
                f"{where} is where the {picture} appears to have been taken",
            )
        )
    ]


def thing_sentences(sheet: Sheet, taken: set[str]) -> list[str]:
    """The objects: those whose place is known from left to right, in one sentence or in several; then the others."""
    by_place: dict[str, list[Thing]] = defaultdict(list)
    for thing in things(sheet, taken):
        by_place[thing.position if thing.box and thing.count == 1 else ""].append(thing)
    groups = [
        (ones[start : start + MOST_LISTED], PLACES.get(place, ""))
        for place in (*PLACES, "")
        for ones in (by_place.get(place, []),)
        for start in range(0, len(ones), MOST_LISTED)
    ]
    placed = [(group, where) for group, where in groups if where]
    if len(placed) > 1 and sheet.chance(0.5):
        groups = [(group, where) for group, where in groups if not where]
        parts = [f"{join([thing_phrase(sheet, one) for one in group])} {where}" for group, where in placed]
        listed = join(parts) if all(len(group) == 1 for group, _ in placed) else "; ".join(parts)
        first = [sentence(sheet.pick(f"the surroundings hold {listed}", f"the scene includes {listed}"))]
    else:
        first = []
    return first + [_there(sheet, group, where) for group, where in groups]


def _there(sheet: Sheet, group: list[Thing], where: str) -> str:
    names = join([thing_phrase(sheet, thing) for thing in group])
    plural = len(group) > 1 or takes_plural(group[0].count, called(group[0].label))
    verb, s = ("are", "") if plural else ("is", "s")
    there = "are" if takes_plural(group[0].count, called(group[0].label)) else "is"
    if where:
        return sentence(
            sheet.pick(
                f"{where} {verb} {names}",
                f"{names} {verb} {where}",
                f"there {there} {names} {where}",
                f"{names} appear{s} {where}",
                f"{where}, there {there} {names}",
            )
        )
    return sentence(
        sheet.pick(
            f"there {there} {names} in the scene",
            f"the scene includes {names}",
            f"the surroundings include {names}",
            f"{names} {verb} part of the scene",
            f"{names} belong{s} to the scene",
        )
    )


def backdrop(sheet: Sheet) -> str:
    """Blue and grey; empty when no one or two colours cover enough of the background."""
    return sheet.colours(sheet.facts.background)


def backdrop_sentences(sheet: Sheet) -> list[str]:
    colours = backdrop(sheet)
    if not colours:
        return []
    several, shade = " and " in colours, sheet.shade(sheet.facts.background)
    if shade:
        return [
            sentence(
                f"the {sheet.pick('background', 'backdrop')} is {sheet.pick('mostly', 'mainly')} {colours} {shade}"
            )
        ]
    return [
        sentence(
            sheet.pick(
                f"the background is {sheet.pick('mostly', 'mainly', 'largely')} {colours}",
                f"the backdrop is {sheet.pick('mostly', 'mainly', 'largely')} {colours}",
                f"{colours} dominate{'' if several else 's'} the background",
                f"{colours} make{'' if several else 's'} up most of the background",
                f"the background, for the most part, is {colours}",
            )
        )
    ]


def text_sentences(sheet: Sheet) -> list[str]:
    """Legible words, quoted as they are written."""
    words = [
        f'"{" ".join(guess.value.replace(chr(34), "").split())}"' for guess in sheet.facts.text if sheet.sure(guess)
    ]
    if not words:
        return []
    listed, one = join(words), len(words) == 1
    return [
        sentence(
            sheet.pick(
                f"legible text reads {listed}",
                f"the {'word' if one else 'words'} {listed} can be read",
                f"written in the picture {'is' if one else 'are'} {listed}",
                f"one can read {listed}",
                f"{'a piece' if one else 'pieces'} of writing say{'s' if one else ''} {listed}",
            )
        )
    ]


def light_sentences(sheet: Sheet) -> list[str]:
    """How bright it is, and the contrast."""
    light, contrast = LIGHTS.get(sheet.facts.light, ()), CONTRASTS.get(sheet.facts.contrast, ())
    if not light:
        return []
    return [sentence(f"{sheet.pick(*light)} {sheet.pick(*contrast)}" if contrast else sheet.pick(*light))]


def format_sentence(sheet: Sheet) -> str:
    """Whether the picture is upright, wide or square."""
    width, height = sheet.facts.width, sheet.facts.height
    if abs(width - height) < 0.05 * max(width, height):
        return sentence(f"the {sheet.pick('picture', 'photograph')} is about as wide as it is tall")
    wide = width > height
    return sentence(
        sheet.pick(
            f"the picture is in {'landscape' if wide else 'portrait'} format",
            f"the picture is {'wider than it is tall' if wide else 'taller than it is wide'}",
        )
    )


def against(sheet: Sheet) -> str:
    """In front of a green background; empty when its colours are unknown."""
    colours = backdrop(sheet)
    return (
        f"{sheet.pick('in front of', 'in front of', 'against')} {article(f'{colours} background')}" if colours else ""
    )

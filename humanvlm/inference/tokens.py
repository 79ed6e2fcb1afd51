"""How many tokens a request is thought to have, where the tokenizer is a server's own."""

from math import ceil

from humanvlm.inference.base import Request

MILLION = 1_000_000  # tokens that a price is of
CHARACTERS_PER_TOKEN = 4  # of English text, as OpenAI's guide to counting tokens says
PATCH = 28  # pixels a side of a picture's token: two by two patches of 14, as in Qwen2-VL (Wang et al., 2024)
UNSCALED = 1024  # pixels a side that a picture is thought to have where it is sent as it is


def text_tokens(text: str) -> int:
    """Tokens of a text, a quarter of its characters."""
    return ceil(len(text) / CHARACTERS_PER_TOKEN)


def picture_tokens(width: int, height: int) -> int:
    """Tokens of a picture of that size, pixels; servers differ by a factor of three."""
    return ceil(width / PATCH) * ceil(height / PATCH)


def scaled(width: int, height: int, image_size: int) -> tuple[int, int]:
    """Width and height, pixels, of a picture that is sent with at most ``image_size`` a side; 0: as it is."""
    largest = max(width, height)
    if not image_size or largest <= image_size:
        return width, height
    return max(1, round(width * image_size / largest)), max(1, round(height * image_size / largest))


def most_tokens(request: Request, image_size: int) -> int:
    """An upper estimate of prompt and reply together: the longest reply, the largest picture."""
    side = image_size or UNSCALED
    picture = picture_tokens(side, side) if request.picture else 0
    return text_tokens(request.prompt) + picture + request.max_new_tokens

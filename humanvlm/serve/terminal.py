"""``humanvlm chat``: a conversation about a picture in the terminal."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from humanvlm.errors import UserError
from humanvlm.serve.command import CHAMPION

if TYPE_CHECKING:
    from humanvlm.serve.conversation import Turn
    from humanvlm.serve.speakers import Picture, Speaker

NEW = "/new"
INTERRUPTED = 130  # as shells say it of what Ctrl-C ended
SPACES = ("percent", "unit", "thousand", "pixels", "auto")


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--model", help=f"As of `humanvlm serve`, by default {CHAMPION}; with --endpoint the server's name of it."
)
@click.option("--endpoint", metavar="URL", help="Ask this OpenAI-compatible server, such as http://127.0.0.1:8000/v1.")
@click.option("--key-variable", default="OPENAI_API_KEY", show_default=True, help="Environment variable of its key.")
@click.option(
    "--ask", "questions", multiple=True, metavar="TEXT", help="Ask this and end; several are one conversation."
)
@click.option("--max-tokens", type=click.IntRange(1, 1024), default=256, show_default=True, help="Of an answer.")
@click.option(
    "--space", type=click.Choice(SPACES), default="percent", show_default=True, help="What boxes are told in."
)
def chat(
    image: Path,
    model: str | None,
    endpoint: str | None,
    key_variable: str,
    questions: tuple[str, ...],
    max_tokens: int,
    space: str,
) -> None:
    """Talk with a model about IMAGE.

    Questions are read line by line, from the keyboard or a pipe; /new begins anew, Ctrl-C stops an answer, Ctrl-D ends.
    After an answer that tells boxes or keypoints, a line of JSON has them in pixels of the picture."""
    from humanvlm.serve import speakers

    picture = read_picture(image)
    typing = not questions and sys.stdin.isatty()
    try:
        speaker: Speaker = (
            speakers.open_there(endpoint, model, key_variable) if endpoint else speakers.open_here(model or CHAMPION)
        )
        talk(speaker, picture, questions or typed(sys.stdin, typing=typing), max_tokens, space, keeps_on=typing)
    except KeyboardInterrupt:
        click.echo()
        sys.exit(INTERRUPTED)


def read_picture(path: Path) -> "Picture":
    """Raises UserError naming the file when it is none."""
    import base64

    from humanvlm.data.image import decode, kind_of
    from humanvlm.serve.speakers import Picture

    try:
        data = path.read_bytes()
        decoded, media = decode(data), kind_of(data).media_type
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a picture") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}; name a JPEG, PNG, WebP or GIF file") from None
    return Picture(f"data:{media};base64,{base64.b64encode(data).decode()}", decoded.size, decoded)


def typed(source: TextIO, *, typing: bool) -> Iterator[str]:
    """The lines of a pipe; of a keyboard, with a prompt and its editing keys, until Ctrl-C or Ctrl-D."""
    if not typing:
        yield from (line.strip() for line in source)
        return
    import contextlib

    with contextlib.suppress(ImportError):  # it edits lines and remembers them
        import readline  # noqa: F401
    while True:
        try:
            line = input("> ")
        except (EOFError, KeyboardInterrupt):
            click.echo()
            return
        yield line.strip()


def talk(
    speaker: "Speaker",
    picture: "Picture",
    questions: Sequence[str] | Iterator[str],
    max_tokens: int,
    space: str = "percent",
    *,
    keeps_on: bool = False,
) -> None:
    """Ask the questions as one conversation, and print what comes. keeps_on: an error or Ctrl-C ends an answer only.

    Raises UserError for an answer that there is not, KeyboardInterrupt for one that was stopped."""
    from humanvlm.serve.conversation import Turn

    turns: list[Turn] = []
    for question in questions:
        if question == NEW:
            turns.clear()
        if question in ("", NEW):
            continue
        asked = Turn("user", question, pictures=0 if turns else 1)
        try:
            said = answer(speaker, [*turns, asked], picture, max_tokens, space)
        except (UserError, KeyboardInterrupt) as error:
            if not keeps_on:
                raise
            click.echo(f"\n{error}" if isinstance(error, UserError) else " (stopped)", err=True)
            continue
        if said:  # a turn without words is none
            turns += [asked, Turn("assistant", said)]


def answer(speaker: "Speaker", turns: "Sequence[Turn]", picture: "Picture", max_tokens: int, space: str) -> str:
    """The words of one answer, printed as they come; what a terminal would obey is written out."""
    import json
    from dataclasses import asdict
    from typing import cast

    from humanvlm.inference.boxes import Space
    from humanvlm.inference.grounded import ground
    from humanvlm.serve.writing import LENGTH, Piece
    from humanvlm.shown import one_line

    said, finish = "", ""
    for one in speaker.say(turns, picture, max_tokens):
        if isinstance(one, Piece):
            said += one.text
            click.echo("\n".join(map(one_line, one.text.split("\n"))), nl=False)
        else:
            finish = one.finish
    click.echo()
    if finish == LENGTH:
        click.echo(f"(cut off after {max_tokens} tokens; --max-tokens allows more)", err=True)
    if found := ground(said, picture.size, cast("Space", space)):
        click.echo(json.dumps(asdict(found)))
    return said

"""Options that several commands of ``humanvlm score`` have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Option = Callable[[Any], Any]
FILE = click.Path(path_type=Path)
REFERENCES = click.option("--references", type=FILE, required=True, metavar="FILE")
PREDICTIONS = click.option("--predictions", type=FILE, required=True, metavar="FILE")
SPACE = click.option(
    "--space",
    type=click.Choice(["auto", "pixels", "unit", "percent", "thousand"]),
    default="auto",
    show_default=True,
    help="What coordinates are in: pixels, 0-1, 0-100 or 0-1000 of the picture. auto: the tightest of 0-1, 0-100, "
    "pixels, 0-1000 that fits 98% of the file's replies, else the one that fits most. Notations that are of one space, "
    "such as Qwen-VL's box marks or Gemini's box_2d, are read in that. "
    "Replies that alone would allow another are counted as ambiguous_space.",
)

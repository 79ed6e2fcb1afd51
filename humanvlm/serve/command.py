"""``humanvlm serve``: a model behind OpenAI's interface, and a page to talk to it."""

from collections.abc import Callable
from dataclasses import fields
from functools import reduce
from pathlib import Path
from typing import Any

import click

from humanvlm.errors import UserError
from humanvlm.serve.limits import Limits

CHAMPION = "models:/humanvlm@champion"
COUNT, ANY, SECONDS = click.IntRange(1), click.IntRange(0), click.FloatRange(0, min_open=True)
ANY_NUMBER = ("per_minute",)  # limits of which 0 is none


def _limits(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each limit."""
    options = [
        click.option(
            f"--{limit.name.replace('_', '-')}",
            type=SECONDS if limit.name.endswith("_s") else ANY if limit.name in ANY_NUMBER else COUNT,
            default=limit.default,
            show_default=True,
            help=f"Limit: {limit.metadata['about']}.",
        )
        for limit in fields(Limits)
    ]
    return reduce(lambda made, option: option(made), reversed(options), command)


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Another than loopback: only with API keys.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--api-keys", type=click.Path(path_type=Path), metavar="FILE", help="API keys, one a line.")
@click.option("--remote-pictures", is_flag=True, help="Fetch pictures of http(s) addresses, by the crawl's rules.")
@_limits
def serve(
    models: tuple[str, ...], host: str, port: int, api_keys: Path | None, remote_pictures: bool, **limits: Any
) -> None:
    """Serve MODELs as OpenAI's chat completions until interrupted.

    MODEL: models:/NAME@ALIAS or models:/NAME/VERSION of MLflow's registry (by default models:/humanvlm@champion), a
    checkpoint's folder, or hub:ORG/NAME[@REVISION]. API keys may also be in HUMANVLM_SERVE_KEYS, between commas."""
    from humanvlm.serve.keys import LOOPBACK, VARIABLE, read_keys

    keys = read_keys(api_keys)
    if host not in LOOPBACK and not keys.digests:
        remedy = f"give --api-keys FILE or set {VARIABLE}, or stay on loopback"
        raise UserError(f"--host {host}: anybody could ask there; {remedy}")
    from humanvlm.serve.run import run

    run(models or (CHAMPION,), host, port, keys, Limits(**limits), remote_pictures=remote_pictures)

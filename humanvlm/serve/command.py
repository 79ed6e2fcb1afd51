"""``humanvlm serve``: a model behind OpenAI's interface, and a page to talk to it."""

import logging
from pathlib import Path

import click

from humanvlm.errors import UserError

log = logging.getLogger("humanvlm")
CHAMPION = "models:/humanvlm@champion"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Another than loopback only with API keys.")
@click.option("--port", default=8000, show_default=True)
@click.option("--api-keys", type=click.Path(path_type=Path), metavar="FILE", help="API keys, one a line.")
def serve(models: tuple[str, ...], host: str, port: int, api_keys: Path | None) -> None:
    """Serve MODELs as OpenAI's chat completions until interrupted.

    MODEL: models:/NAME@ALIAS or models:/NAME/VERSION of MLflow's registry (by default models:/humanvlm@champion), a
    checkpoint's folder, or hub:ORG/NAME[@REVISION]."""
    from humanvlm.serve.keys import VARIABLE, read_keys
    from humanvlm.serve.limits import Limits
    from humanvlm.serve.run import run

    keys = read_keys(api_keys)
    if host not in LOOPBACK and not keys.digests:
        raise UserError(
            f"--host {host}: anybody there could ask; give --api-keys FILE or {VARIABLE}, or stay on loopback"
        )
    run(models or (CHAMPION,), host, port, keys, Limits())

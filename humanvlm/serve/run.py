"""The server as a process: its socket, its signals, its end."""

import logging
import os
import signal
import socket
from collections.abc import Mapping
from functools import partial

import uvicorn

from humanvlm.errors import UserError
from humanvlm.serve.app import Fetching, make_app
from humanvlm.serve.chat import Serving
from humanvlm.serve.engine import Engine
from humanvlm.serve.keys import Keys
from humanvlm.serve.limits import Limits
from humanvlm.serve.models import loader, named
from humanvlm.serve.protocol import timed
from humanvlm.serve.remote import open_remote

log = logging.getLogger("humanvlm")
BACKLOG = 1024


def run(
    references: tuple[str, ...], host: str, port: int, keys: Keys, limits: Limits, *, remote_pictures: bool = False
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way. Raises UserError when there is no such model, one
    does not load, or the port is taken."""
    sources = named(references)
    engines = {name: Engine(loader(source, limits), limits.slots, limits.waiting) for name, source in sources.items()}
    listening = listen(host, port)
    fetching = partial(open_remote, limits) if remote_pictures else None
    server = make_server(Serving(engines, limits, keys), fetching)
    for engine in engines.values():
        engine.on_failure = lambda: setattr(server, "should_exit", True)
    shown = f"[{host}]" if ":" in host else host
    log.info("serving %s at http://%s:%d/v1 (Ctrl-C stops)", ", ".join(engines), shown, listening.getsockname()[1])
    # uvicorn raises the signal that stopped it again when it is done.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listening])
    _raise_failure(engines)
    log.info("stopped")


def listen(host: str, port: int) -> socket.socket:
    """Raises UserError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error)
        raise UserError(f"{host}:{port}: {reason}; choose another with --host or --port") from None


def make_server(serving: Serving, fetching: Fetching | None = None) -> uvicorn.Server:
    """A server of the application, quiet but for warnings. fetching: as in ``make_app``."""
    limits = serving.limits
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    config = uvicorn.Config(
        make_app(serving, fetching),
        http=timed(limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=max(1, round(limits.grace_s)),
    )
    return uvicorn.Server(config)


def _raise_failure(engines: Mapping[str, Engine]) -> None:
    for engine in engines.values():
        if engine.failure is not None:
            raise engine.failure

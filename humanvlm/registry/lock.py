"""One promotion at a time, whoever makes it: a lock that the registry itself holds, on any MLflow with a database.

The name of a registered model is unique in the database, so making the model ``NAME-promotion-lock`` succeeds for one
process alone; deleting it sets the lock free. Promised: two who use this never decide at the same time, on one machine
or on several. Not promised: that somebody who sets the alias by other means waits. A holder that was killed is noticed
on its own machine; elsewhere its lock stays until somebody deletes it, as the error says.
"""

import fcntl
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from humanvlm.errors import UserError

WAIT_S = 60.0  # a decision's last part takes seconds
POLL_S = 0.3
SUFFIX = "-promotion-lock"


@contextmanager
def promotion_lock(client: Any, name: str, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the lock of a registered model. Raises UserError when it is not free within ``wait_s`` seconds."""
    lock, token = f"{name}{SUFFIX}", secrets.token_hex(8)
    until = time.monotonic() + wait_s
    while not _taken(client, lock, token):
        if time.monotonic() > until:
            holder = _tags(client, lock).get("holder", "somebody")
            raise UserError(
                f"{name}: a promotion by {holder} (machine:process) is under way; wait for it, or, if it was killed, "
                f"delete the registered model {lock!r} in MLflow"
            )
        time.sleep(POLL_S)
    try:
        yield
    finally:
        if _tags(client, lock).get("token") == token:
            client.delete_registered_model(lock)


def _taken(client: Any, lock: str, token: str) -> bool:
    from mlflow.exceptions import MlflowException

    holder = f"{socket.gethostname()}:{os.getpid()}"
    try:
        client.create_registered_model(lock, {"token": token, "holder": holder}, "Held while a promotion is decided.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        tags = _tags(client, lock)
        if tags.get("token") == token:  # made by us, the answer was lost and the request repeated
            return True
        _free_from_the_dead(client, lock, tags)
        return False
    return True


def _free_from_the_dead(client: Any, lock: str, tags: dict[str, str]) -> None:
    """Delete the lock of a process of this machine that is no more. Only this machine's processes do so, one by one."""
    host, _, process = tags.get("holder", "").rpartition(":")
    if host != socket.gethostname() or not process.isdigit() or _alive(int(process)):
        return
    place = Path(tempfile.gettempdir()) / f"humanvlm-{sha256(lock.encode()).hexdigest()[:16]}.lock"
    with place.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if _tags(client, lock).get("token") == tags["token"]:
            client.delete_registered_model(lock)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _tags(client: Any, lock: str) -> dict[str, str]:
    """Its tags; none when it is free."""
    from mlflow.exceptions import MlflowException

    try:
        return dict(client.get_registered_model(lock).tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise

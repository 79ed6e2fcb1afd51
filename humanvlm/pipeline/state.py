"""Where a project keeps what is neither code nor data: ``.state``, outside git and DVC."""

from pathlib import Path

STATE = Path(".state")
COPIES = (".dvc", "tmp", "exps")  # DVC runs `dvc exp run --temp` and `--queue` in folders below this one


def state_folder() -> Path:
    """``.state`` of the project; in a copy that DVC made for an experiment that of the project it is a copy of, so that
    runs, model versions and known replies do not go with the copy."""
    here = Path.cwd().parts
    for place in range(len(here) - len(COPIES)):
        if here[place : place + len(COPIES)] == COPIES:
            return Path(*here[:place]) / STATE
    return STATE

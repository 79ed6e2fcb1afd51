"""METEOR's English data: function words, synonyms and paraphrases, converted once into a cache and then mapped from it.

The data is the files of ``meteor-1.5`` of ``models.yaml``. The cache is safe to delete: HUMANVLM_CACHE,
in a project ``.state/models``, and elsewhere ``humanvlm`` in the user's cache folder (XDG_CACHE_HOME or ``~/.cache``).
"""

import gzip
import json
import logging
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.data.atomic_io import made_once
from humanvlm.errors import UserError
from humanvlm.evaluate.metrics.meteor import wordnet
from humanvlm.evaluate.metrics.meteor.paraphrases import ParaphraseTable
from humanvlm.evaluate.metrics.meteor.wordnet import WordNet
from humanvlm.evaluate.metrics.meteor.words import WordData, read_words
from humanvlm.pipeline.state import state_folder
from humanvlm.weights.catalog import has_file, model_entry, model_file

log = logging.getLogger("humanvlm")
MODEL = "meteor-1.5"
_FORMAT = 2  # of the cache: another one is converted anew
_WORDS = "words.json"
_TABLES = {"wordnet": WordNet, "paraphrases": ParaphraseTable}


@dataclass(frozen=True)
class Resources:
    """METEOR's data; what is not installed is None, and ``words`` empty."""

    words: WordData = field(default_factory=WordData)
    synonyms: WordNet | None = None
    paraphrases: ParaphraseTable | None = None

    @property
    def name(self) -> str:
        """What the metric is called with this data: ``meteor`` only when all of it is there."""
        if self.synonyms is None:
            return "meteor_exact_stem"
        return "meteor" if self.paraphrases is not None else "meteor_exact_stem_synonym"


@cache
def installed() -> Resources:
    """METEOR's data, or none of it where its files are not there. It is converted on its first use, in seconds.

    Raises ModelError when a file is not the declared one, UserError when the cache cannot be used.
    """
    if not (has_file(MODEL) and has_file(MODEL, "paraphrases")):
        return Resources()
    folder = cache_folder() / f"{MODEL}-{_key()}"
    if not folder.is_dir():
        _convert(folder)
    return _load(folder)


def cache_folder() -> Path:
    """The folder for converted data, see above."""
    if named := os.environ.get("HUMANVLM_CACHE"):
        return Path(named)
    if Path("dvc.yaml").is_file():
        return state_folder() / "models"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "humanvlm"


def _key() -> str:
    """Names a conversion by the declared digests of what it is made from, which takes no look into the files."""
    entry = model_entry(MODEL)
    return f"{_FORMAT}-{entry.part().sha256[:8]}-{entry.part('paraphrases').sha256[:8]}"


def _convert(folder: Path) -> None:
    """Write the cache: it is whole or absent, whoever else converts."""
    from humanvlm.evaluate.metrics.meteor.paraphrases_build import build

    jar, table = model_file(MODEL), model_file(MODEL, "paraphrases")
    log.info("converting METEOR's data once into %s", folder)
    try:
        with made_once(folder) as work:
            words, synsets, forms = read_words(jar)
            synonyms = _columns(wordnet.build(synsets, forms))
            with gzip.open(table) as text:
                _save(work, words, {"wordnet": synonyms, "paraphrases": build(text)})
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"METEOR's data cannot be converted into {folder}: {error}; name another HUMANVLM_CACHE"
        ) from None


def _save(folder: Path, words: WordData, tables: Mapping[str, Mapping[str, NDArray[Any]]]) -> None:
    with (folder / _WORDS).open("w", encoding="utf-8") as file:
        json.dump([sorted(words.function_words), dict(words.prefixes)], file)
    for table, columns in tables.items():
        for name, column in columns.items():
            np.save(folder / f"{table}-{name}.npy", column)


def _load(folder: Path) -> Resources:
    try:
        function_words, prefixes = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
        tables = {
            table: kind(*(np.load(folder / f"{table}-{one.name}.npy", mmap_mode="r") for one in fields(kind)))
            for table, kind in _TABLES.items()
        }
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{folder}: damaged ({error}); delete it") from None
    return Resources(WordData(frozenset(function_words), prefixes), tables["wordnet"], tables["paraphrases"])


def _columns(table: Any) -> dict[str, NDArray[Any]]:
    return {one.name: getattr(table, one.name) for one in fields(table)}

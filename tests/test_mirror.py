"""Tests are named like their subjects: ``tests/ROOM/test_FILE.py``, or ``test_FILE_PART.py``, of ``ROOM/FILE.py``."""

from pathlib import Path

REPO = Path(__file__).parents[1]
TESTS = REPO / "tests"

# What no single file answers for.
ACROSS = {
    "test_fuzz.py",  # benchmarks/fuzz.py, for half a minute
    "test_layers.py",  # imports run down, without circles
    "test_mirror.py",
    "caption/test_stages.py",  # both captioning stages in a row
    "evaluate/test_own_files.py",  # every scorer as a command, on files written for it
    "export/test_round_trip.py",  # from pictures to an index, shards, an export and an index again
    "orchestration/test_staleness.py",  # DVC, Dagster and the stages themselves
    "pipeline/test_pipeline.py",  # the whole pipeline on the sample crawl
    "scrape/test_hostile.py",  # the crawl against servers that mean harm
    "train/test_stages.py",  # both training stages in processes
}


def subjects() -> set[str]:
    """Modules by the place of their test: ``ROOM/FILE``."""
    rooms = ((REPO / "humanvlm", ""), (REPO / "orchestration", "orchestration/"))
    return {
        prefix + path.relative_to(room).with_suffix("").as_posix()
        for room, prefix in rooms
        for path in room.rglob("*.py")
    }


def has_subject(test: str, modules: set[str]) -> bool:
    room, _, name = test.removesuffix(".py").rpartition("test_")
    words = name.split("_")
    return any(room + "_".join(words[:count]) in modules for count in range(1, len(words) + 1))


def test_every_test_has_the_name_of_its_subject() -> None:
    modules = subjects()
    found = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    assert sorted(test for test in found - ACROSS if not has_subject(test, modules)) == []
    assert sorted(ACROSS - found) == []
    assert sorted(test for test in ACROSS if has_subject(test, modules)) == []


def test_a_name_without_a_subject_is_noticed() -> None:
    modules = {"scrape/consent", "data/atomic_io"}
    assert has_subject("scrape/test_consent.py", modules)
    assert has_subject("scrape/test_consent_headers.py", modules)
    assert has_subject("data/test_atomic_io.py", modules)
    for test in ("scrape/test_consents.py", "data/test_atomic.py", "test_consent.py", "data/test_consent.py"):
        assert not has_subject(test, modules), test

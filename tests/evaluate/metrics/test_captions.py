"""The caption suite on files: against the reference implementation, and on files that do not fit."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from humanvlm.cli import main
from humanvlm.errors import UserError
from humanvlm.evaluate.metrics.captions import score_captions
from humanvlm.evaluate.metrics.cider import Frequencies
from humanvlm.evaluate.tasks.captions import score_files

from ..coco_captions import load_pairs

NAMES = {**{f"bleu_{n}": f"Bleu_{n}" for n in range(1, 5)}, "rouge_l": "ROUGE_L", "cider": "CIDEr", "meteor": "METEOR"}


def test_the_reference_gives_the_same(shared: Path) -> None:
    """From raw text to every score, of the corpus and of each picture; METEOR by its printed digits."""
    pairs = load_pairs(shared)
    scored = score_captions(pairs.ids, pairs.candidates, pairs.references)
    if "meteor" not in scored.scores:
        pytest.skip("METEOR's data is not installed: python -m humanvlm.weights.wheels")
    assert scored.counts == {"empty_candidates": 0, "empty_references": 0}
    for ours, theirs in NAMES.items():
        assert scored.scores[ours] == pytest.approx(pairs.scores[theirs], abs=1e-9), ours
        expected = [row[theirs] for row in pairs.per_image]
        np.testing.assert_allclose(scored.per_sample[ours], expected, atol=1e-9, rtol=0)


def test_a_sum_of_contributions_scores_a_part() -> None:
    """Every metric but CIDEr, whose document frequencies differ, is that of the part scored by itself."""
    draw = random.Random(4)
    words = [
        "a",
        "man",
        "woman",
        "in",
        "hat",
        "on",
        "the",
        "beach",
        "with",
        "dog",
        "red",
        "sits",
        "two",
        "people",
        "run",
    ]
    texts = [" ".join(draw.choices(words, k=draw.randint(3, 14))) for _ in range(160)]
    ids, candidates = [str(number) for number in range(40)], texts[:40]
    references = [texts[40 + 3 * number : 43 + 3 * number] for number in range(40)]
    whole = score_captions(ids, candidates, references)
    part = score_captions(ids[:15], candidates[:15], references[:15])
    found = whole.metrics(whole.contributions[:15].sum(axis=0))
    for name, value in part.scores.items():
        if name != "cider":
            assert found[name] == pytest.approx(value, abs=1e-12), name


def test_missing_extra_and_doubled_ids(tmp_path: Path) -> None:
    truth, said = tmp_path / "truth.json", tmp_path / "said.json"
    truth.write_text(json.dumps({"1": ["a man"], "2": ["a dog", "the dog"]}))
    said.write_text(json.dumps([{"image_id": 1, "caption": "a man"}]))
    with pytest.raises(UserError, match=r"said\.json: no prediction for id 2 of .*truth\.json \(1 of 2 are missing\)"):
        score_files(truth, said, metrics=["bleu"])
    scored = score_files(truth, said, allow_missing=True, metrics=["bleu", "rouge_l"])
    assert scored.counts == {"empty_candidates": 1, "empty_references": 0, "missing": 1}
    assert scored.per_sample["rouge_l"] == [pytest.approx(1), 0]
    said.write_text(json.dumps({"1": "a man", "2": "", "3": "a cat"}))
    with pytest.raises(UserError, match=r"said\.json: id 3 is not in"):
        score_files(truth, said, metrics=["bleu"])
    said.write_text('{"1": "a man", "2": "a dog", "1": "a cat"}')
    with pytest.raises(UserError, match=r"said\.json: id 1 is there twice"):
        score_files(truth, said, metrics=["bleu"])


def test_what_cannot_be_scored_is_refused() -> None:
    for metric, why in (("spice", "scene-graph"), ("clipscore", "CLIP"), ("blue", "unknown")):
        with pytest.raises(UserError, match=why):
            score_captions(["1"], ["a"], [["a"]], metrics=[metric])
    with pytest.raises(UserError, match="id 2: no references"):
        score_captions(["1", "2"], ["a", "a"], [["a"], []])
    with pytest.raises(UserError, match="no captions"):
        score_captions([], [], [])


# What the authors of CLIPScore publish beside their own metric for the example captions of their code.
EXAMPLES = {
    "good": {"bleu_1": 0.6667, "bleu_2": 0.4899, "bleu_3": 0.3469, "bleu_4": 0.0, "meteor": 0.3444, "rouge_l": 0.4280},
    "bad": {"bleu_1": 0.4815, "bleu_2": 0.2404, "bleu_3": 0.1359, "bleu_4": 0.0, "meteor": 0.1861, "rouge_l": 0.3121},
}
EXAMPLES["good"]["cider"], EXAMPLES["bad"]["cider"] = 0.5637, 0.2790


@pytest.mark.parametrize("name", EXAMPLES)
def test_published_values(shared: Path, name: str) -> None:
    folder = shared / "benchmarks" / "captions"
    scored = score_files(folder / "clipscore_refs.json", folder / f"clipscore_{name}_captions.json")
    if "meteor" not in scored.scores:
        pytest.skip("METEOR's data is not installed: python -m humanvlm.weights.wheels")
    assert {metric: round(value, 4) for metric, value in scored.scores.items()} == EXAMPLES[name]


def test_pinned_frequencies_score_a_part_like_the_whole(shared: Path, tmp_path: Path) -> None:
    """``--write-idf`` on the whole, ``--idf`` on some of it."""
    pairs, part, idf = load_pairs(shared), tmp_path / "part.json", tmp_path / "idf" / "coco.json.gz"
    rows = {
        key: {"candidate": pairs.candidates[n], "references": pairs.references[n]} for n, key in enumerate(pairs.ids)
    }
    whole = tmp_path / "whole.json"
    whole.write_text(json.dumps(rows))
    part.write_text(json.dumps(dict(list(rows.items())[:7])))
    command = ["score", "captions", "--metric", "cider", "--metric", "cider_d", "--out", str(tmp_path / "out.json")]
    for options in (
        ["--references", str(whole), "--write-idf", str(idf)],
        ["--references", str(part), "--idf", str(idf)],
    ):
        result = CliRunner().invoke(main, [*command, *options])
        assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["idf"] == Frequencies.load(idf).digest
    expected = [row["CIDEr"] for row in pairs.per_image[:7]]
    for name in ("cider", "cider_d"):
        assert [row[name] for row in written["per_sample"]] == pytest.approx(expected, abs=1e-9)
        assert written["scores"][name] == pytest.approx(np.mean(expected), abs=1e-9)


def test_empty_captions_are_scored_and_counted() -> None:
    """As the reference does: nothing fits nothing in ROUGE, and scores nothing elsewhere."""
    scored = score_captions(["1", "2", "3"], ["", "a dog", " .\n"], [["a dog"], ["", "a cat"], ["...", "a man"]])
    assert scored.counts == {"empty_candidates": 2, "empty_references": 2}
    assert scored.per_sample["rouge_l"] == [0, pytest.approx(0.5), 1]
    assert scored.per_sample["cider"][0] == scored.per_sample["cider"][2] == 0
    assert all(np.isfinite(values).all() for values in scored.per_sample.values())

"""Pages of a training: everything is on them, escaped, and long runs stay short."""

from pathlib import Path

import pytest
from PIL import Image

from humanvlm.train.pages import chart, evenly, thinned, write_replies, write_report
from humanvlm.train.samples import Picture, Sample


def test_a_row_a_picture_and_a_line_a_step(tmp_path: Path) -> None:
    rows = [Sample((Picture("a", 0),), (("What?", truth),)) for truth in ("<b>a man</b>", "a dog")]
    said = {step: [f"reply {step}", "the same"] for step in range(10, 1010, 10)}
    write_replies(tmp_path / "replies.html", "stage1", rows, [Image.new("L", (400, 300))] * 2, said)
    page = (tmp_path / "replies.html").read_text()
    assert "&lt;b&gt;a man&lt;/b&gt;" in page
    assert "<b>a man" not in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert page.count("<tr") == 2 * (1 + 12)  # the caption, and twelve of the hundred steps
    assert page.count("class=same") == 11  # the first picture's replies differ, the second's never
    assert page.index("reply 10<") < page.index("reply 1000<")
    assert "http:" not in page + page.replace("https:", "http:")


def test_curves_tables_and_notes(tmp_path: Path) -> None:
    log = [
        {"step": step, "loss": 3.0 / step, "learning_rate": 0.1, "grad_norm": 1.0, "tokens": 10, "step_seconds": 2.0}
        for step in range(1, 6)
    ]
    history = [*log, {"step": 5, "validation_loss": 2.0}]
    tables = {"Recipe": {"seed": 7, "share": 0.25, "best": True, "batch": 10_000}, "Nothing": {}}
    write_report(tmp_path / "report.html", "stage1", history, tables, ["Step 3: <jump>."], replies=True)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 4
    assert "Step 3: &lt;jump&gt;." in page
    assert 'href="replies.html"' in page
    assert all(f"<td>{value}</td>" in page for value in ("7", "0.25", "True", "10,000"))
    assert "Nothing" not in page
    assert "validation" in page
    write_report(tmp_path / "report.html", "stage1", log, {}, [], replies=False)
    page = (tmp_path / "report.html").read_text()
    assert "validation" not in page
    assert "replies.html" not in page
    parts = [{**entry, "learning_rate_projector": 0.1, "learning_rate_language_model": 0.2} for entry in log]
    write_report(tmp_path / "report.html", "stage1", parts, {}, [], replies=False)
    page = (tmp_path / "report.html").read_text()
    assert page.count(">projector<") == page.count(">language model<") == 1


def test_equal_curves_are_equal_files() -> None:
    curves = {"training": [(1.0, 2.0), (2.0, 1.0)]}
    assert chart(curves) == chart(curves)


@pytest.mark.parametrize(("count", "expected"), [(3, [0, 1, 2]), (5, [0, 2, 4, 6, 9]), (10, list(range(10)))])
def test_evenly(count: int, expected: list[int]) -> None:
    assert evenly(range(count if count < 5 else 10), 5 if count < 10 else 10) == expected


def test_thinned_curves_keep_their_mean() -> None:
    curve = [(float(x), float(x % 7)) for x in range(10_000)]
    short = thinned(curve, 100)
    assert len(short) == 100
    assert sum(y for _, y in short) / 100 == pytest.approx(sum(y for _, y in curve) / 10_000)
    assert thinned(curve[:10], 100) == curve[:10]

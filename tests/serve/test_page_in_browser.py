"""The page as people use it, in a headless Chromium: on a desktop, on a phone, by keyboard, and when things go wrong.

Accessibility is checked by axe-core where it is installed: ``npm install --no-save axe-core`` in the project's folder.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from humanvlm.serve import faithful
from humanvlm.serve.keys import read_keys
from humanvlm.serve.limits import Limits
from humanvlm.serve.refusals import busy

from .chromium import Browser, browser, executable
from .running import Running, data_url, png
from .scripted import Script, scripted

pytestmark = pytest.mark.skipif(executable() is None, reason="no Chromium here: install one to drive the page")
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP, PHONE = (1280, 900), (320, 640)
SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
BOXES = ("The man ", "in a hat: [10, 20, 60, 80], the dog: [50, 50, 100, 100]; nose: [30, 40]")
ENTER = ("Enter", 13, "\r")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """60 × 40 pixels of noise, in a file."""
    (tmp_path / "noise.png").write_bytes(png())
    return tmp_path / "noise.png"


def script(*pieces: str, go: bool = True) -> Script:
    """The same answer to everything. go: without waiting."""
    made = Script(lambda _: pieces)
    if go:
        made.go.set()
    return made


def visit(chromium: Browser, server: Running, size: tuple[int, int] = DESKTOP, **how: Any) -> None:
    chromium.events.clear()
    chromium.open(f"http://127.0.0.1:{server.port}/", *size, **how)
    chromium.wait("document.getElementById('state').textContent.startsWith('Model')")


def ask(chromium: Browser, question: str) -> None:
    chromium.run("document.getElementById('question').focus()")
    chromium.write(question)
    chromium.press(*ENTER)


def answered(chromium: Browser, turns: int = 1) -> str:
    """The last turn, once it is written."""
    turn = "document.querySelectorAll('#log .answers')"
    chromium.wait(f"{turn}.length === {turns} && !document.querySelector('[aria-busy=true]')")
    return str(chromium.run(f"[...{turn}].at(-1).innerText"))


def fault(chromium: Browser) -> str:
    return str(chromium.wait("document.querySelector('#fault:not([hidden]), .answer .fault')?.textContent"))


def give(chromium: Browser, kind: str, content: bytes, name: str = "a.png", media: str = "image/png") -> None:
    """Paste or drop a file, as the browser tells a page of it."""
    chromium.run(
        f"fetch_ = atob({json.dumps(data_url(content).partition(',')[2])});"
        f"carried = new DataTransfer(); carried.items.add(new File([Uint8Array.from(fetch_, c => c.charCodeAt(0))], "
        f"{json.dumps(name)}, {{type: {json.dumps(media)}}}));"
        f"document.body.dispatchEvent(new {'ClipboardEvent' if kind == 'paste' else 'DragEvent'}({json.dumps(kind)}, "
        f"{{bubbles: true, cancelable: true, {'clipboardData' if kind == 'paste' else 'dataTransfer'}: carried}}))"
    )


@SIZES
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_picture_is_asked_about_and_boxes_are_drawn(
    chromium: Browser, picture: Path, tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    said = script(*BOXES, go=False)
    with scripted({"humanvlm": said}) as server:
        visit(chromium, server, size, dark=dark)
        chromium.photograph(tmp_path / "empty.png")
        chromium.choose("#file", picture)
        chromium.wait("document.getElementById('preview').naturalWidth === 60")
        ask(chromium, "Where are they?")
        assert chromium.wait("document.querySelector('.words')?.textContent") == "The man "
        assert chromium.run("document.querySelector('.answer').ariaBusy") == "true"
        assert chromium.run("document.getElementById('ask').hidden && !document.getElementById('stop').hidden")
        said.go.set()
        told = answered(chromium)
        chromium.wait("document.querySelector('figure img').naturalWidth === 60")
        chromium.photograph(tmp_path / "answered.png")
    assert BOXES[1] in told
    assert "The man in a hat: 6, 8, 36, 32" in told
    assert "nose: 18, 16" in told
    drawn = chromium.run(
        "(() => { const whole = document.querySelector('figure').getBoundingClientRect();"
        "return [...document.querySelectorAll('.box')].map((box) => { const at = box.getBoundingClientRect();"
        "return [(at.left - whole.left) / whole.width, (at.top - whole.top) / whole.height,"
        "(at.right - whole.left) / whole.width, (at.bottom - whole.top) / whole.height]; }); })()"
    )
    assert drawn == [pytest.approx([0.1, 0.2, 0.6, 0.8], abs=0.02), pytest.approx([0.5, 0.5, 1, 1], abs=0.02)]
    names = chromium.run("[...document.querySelectorAll('.name')].map((name) => name.textContent)")
    assert names == ["The man in a hat", "the dog", "3"]
    assert said.asked[0][1] == [(60, 40)]
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    assert chromium.complaints() == []
    assert {url.split("/")[2] for url in chromium.asked() if url.startswith("http")} == {f"127.0.0.1:{server.port}"}


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(chromium: Browser, kind: str) -> None:
    said = script("Fine.")
    with scripted({"humanvlm": said}) as server:
        visit(chromium, server)
        give(chromium, kind, png())
        chromium.wait("document.getElementById('preview').naturalWidth === 60")
        ask(chromium, "What is it?")
        answered(chromium)
    assert said.asked[0][1] == [(60, 40)]


def test_what_is_no_picture_is_told(chromium: Browser) -> None:
    with scripted({"humanvlm": script("Fine.")}) as server:
        visit(chromium, server)
        give(chromium, "drop", b"hello", "hello.txt", "text/plain")
        assert fault(chromium).startswith("hello.txt is no picture that the browser can read")


def test_a_picture_over_the_limit_is_made_smaller_and_that_is_said(chromium: Browser, picture: Path) -> None:
    said = script("Fine.")
    with scripted({"humanvlm": said}, Limits(pixels=600)) as server:
        visit(chromium, server)
        chromium.choose("#file", picture)
        note = chromium.wait("!preview.hidden && document.getElementById('picture-note').textContent")
        assert note == "noise.png: Made smaller, 60 × 40 to 30 × 20 pixels: this server takes no more."
        ask(chromium, "What is it?")
        assert "Fine." in answered(chromium)
    assert said.asked[0][1] == [(30, 20)]


def test_turns_before_are_sent_along_until_a_new_picture(chromium: Browser, picture: Path) -> None:
    said = script("Fine.")
    with scripted({"humanvlm": said}) as server:
        visit(chromium, server)
        chromium.choose("#file", picture)
        chromium.wait("!document.getElementById('preview').hidden")
        for number in (1, 2):
            ask(chromium, f"Question {number}?")
            answered(chromium, number)
        give(chromium, "paste", png(1))
        chromium.wait("document.getElementById('log').innerText.includes('A new conversation begins')")
        ask(chromium, "Question 3?")
        answered(chromium, 3)
    turns = [[(turn.role, turn.text, turn.pictures) for turn in asked] for asked, _ in said.asked]
    assert turns[1] == [("user", "Question 1?", 1), ("assistant", "Fine.", 0), ("user", "Question 2?", 0)]
    assert turns[2] == [("user", "Question 3?", 1)]


def test_two_models_answer_side_by_side(chromium: Browser, picture: Path, tmp_path: Path) -> None:
    first, second = script(*BOXES), script("A man ", "and a dog.")
    with scripted({"first": first, "second": second}) as server:
        visit(chromium, server)
        chromium.choose("#file", picture)
        chromium.run("document.getElementById('beside').value = 'second'")
        ask(chromium, "Who is there?")
        told = answered(chromium)
        tops = chromium.run("[...document.querySelectorAll('.answer')].map((one) => one.getBoundingClientRect().top)")
        chromium.photograph(tmp_path / "beside.png")
        ask(chromium, "And now?")
        answered(chromium, 2)
    assert "first" in told
    assert "A man and a dog." in told
    assert tops[0] == tops[1]
    assert [turn.text for turn in first.asked[1][0]] == ["Who is there?", "".join(BOXES), "And now?"]
    assert [turn.text for turn in second.asked[1][0]] == ["Who is there?", "A man and a dog.", "And now?"]


def test_what_an_answer_claims_is_checked(
    chromium: Browser, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "🎩 A man and two dogs."
    found = [("A man", "supported"), ("two dogs", "contradicted"), ("dogs", "unsupported")]
    claims = [
        {"start": said.index(text), "end": said.index(text) + len(text), "text": text, "verdict": verdict}
        for text, verdict in found
    ]
    asked: list[tuple[str, tuple[int, int]]] = []

    def look(text: str, image: Any) -> dict[str, Any]:
        asked.append((text, image.size))
        return {"claims": claims, "faithfulness": 1 / 3}

    monkeypatch.setattr(faithful, "claims", look)
    with scripted({"humanvlm": script(said)}) as server:
        visit(chromium, server)
        chromium.choose("#file", picture)
        chromium.wait("!document.getElementById('preview').hidden")
        ask(chromium, "Who is there?")
        answered(chromium)
        chromium.run("document.querySelector('.check').click()")
        told = chromium.wait("document.querySelector('.claims')?.innerText")
        chromium.photograph(tmp_path / "checked.png")
    assert asked == [(said, (60, 40))]
    assert told.splitlines()[0] == "1 of 3 claims are supported by what detectors see."
    assert "Contradicted: “two dogs”" in told
    marks = "[...document.querySelectorAll('mark')].map((one) => [one.textContent, one.className])"
    assert chromium.run(marks) == [["A man", "supported"], ["two dogs", "contradicted"]]
    assert chromium.run("document.querySelector('.words').textContent") == said
    assert chromium.complaints() == []


def test_an_answer_is_stopped(chromium: Browser) -> None:
    with scripted({"humanvlm": script("It is ", "long.", go=False)}) as server:
        visit(chromium, server)
        ask(chromium, "Tell me.")
        chromium.wait("document.querySelector('.words')?.textContent === 'It is '")
        chromium.press("Escape", 27)
        assert answered(chromium).endswith("Stopped.")
        assert chromium.run("document.getElementById('stop').hidden")
        assert chromium.complaints() == []


def test_what_a_model_says_is_text(chromium: Browser) -> None:
    said = "<img src=x onerror=document.title='run'><script>1</script>"
    with scripted({"humanvlm": script(said)}) as server:
        visit(chromium, server)
        ask(chromium, "Hi")
        assert said in answered(chromium)
        assert chromium.run("document.title") == "HumanVLM: ask about a picture"


def test_examples_fill_the_question(chromium: Browser) -> None:
    with scripted({"humanvlm": script("Fine.")}) as server:
        visit(chromium, server)
        chromium.run("document.querySelector('#examples button').click()")
        assert chromium.run("document.activeElement.value") == "Provide a one-sentence caption for the picture."


def test_a_key_is_asked_for_and_sent(chromium: Browser, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("k" * 16)
    with scripted({"humanvlm": script("Fine.")}, keys=read_keys(tmp_path / "keys")) as server:
        chromium.open(f"http://127.0.0.1:{server.port}/", *DESKTOP)
        assert "asks for an API key" in fault(chromium)
        assert chromium.run("document.activeElement.id") == "key"
        chromium.write("k" * 16)
        chromium.press(*ENTER)
        chromium.wait("document.getElementById('state').textContent === 'Model: humanvlm'")
        ask(chromium, "Hi")
        assert "Fine." in answered(chromium)


def test_refusals_are_told_in_words_and_the_question_is_kept(
    chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted({"humanvlm": script("Fine.")}, Limits(per_minute=2)) as server:
        visit(chromium, server)
        ask(chromium, "One?")
        answered(chromium)
        ask(chromium, "Two?")
        assert "Too many requests. Wait " in fault(chromium)
        assert chromium.run("document.getElementById('question').value") == "Two?"
    with scripted({"humanvlm": script("Fine.")}) as server:
        visit(chromium, server)

        def full(_: Any) -> None:
            raise busy("256 requests are waiting", 5)

        monkeypatch.setattr(server.serving.engines["humanvlm"], "submit", full)
        ask(chromium, "One?")
        assert fault(chromium).startswith("The server is busy: 256 requests are waiting. Wait 5 seconds")
    ask(chromium, "")
    chromium.wait("document.querySelectorAll('.answer .fault').length === 2")
    assert "cannot be reached" in chromium.run("[...document.querySelectorAll('.answer .fault')].at(-1).textContent")


def test_all_is_reached_by_keyboard(chromium: Browser) -> None:
    with scripted({"humanvlm": script("Fine.")}) as server:
        visit(chromium, server, PHONE)
        reached = []
        for _ in range(16):
            chromium.press("Tab", 9)
            reached.append(chromium.run("document.activeElement.id || document.activeElement.textContent.trim()"))
            seen = "getComputedStyle(document.activeElement.id === 'file' ? drop : document.activeElement).outlineStyle"
            assert chromium.run(seen) == "solid", reached[-1]
            if reached[-1] == "ask":
                break
    assert reached[:3] == ["Skip to the question", "file", "Settings"]
    assert reached[-2:] == ["question", "ask"]


@SIZES
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(
    chromium: Browser, picture: Path, size: tuple[int, int], dark: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not AXE.exists():
        pytest.skip(f"no {AXE}: `npm install --no-save axe-core`")
    claims = [
        {"start": 4, "end": 7, "text": "man", "verdict": "supported"},
        {"start": 10, "end": 15, "text": "a hat", "verdict": "contradicted"},
        {"start": 39, "end": 42, "text": "dog", "verdict": "unsupported"},
    ]
    monkeypatch.setattr(faithful, "claims", lambda *_: {"claims": claims, "faithfulness": 1 / 3})
    with scripted({"first": script(*BOXES), "second": script("A man.")}) as server:
        visit(chromium, server, size, dark=dark, calm=True)
        chromium.run("document.getElementById('settings').open = true")
        chromium.choose("#file", picture)
        chromium.wait("!document.getElementById('preview').hidden")
        chromium.run("document.getElementById('beside').value = 'second'")
        ask(chromium, "Who is there?")
        answered(chromium)
        chromium.run("document.querySelector('.check').click()")
        chromium.wait("document.querySelector('.claims') !== null")
        ask(chromium, " ")
        assert fault(chromium) == "Write a question first."
        chromium.run(AXE.read_text(encoding="utf-8"))
        found = chromium.run("axe.run().then((found) => found.violations)")
    told = [f"{one['impact']}: {one['id']}: {one['nodes'][0]['html']}" for one in found]
    assert [one for one in told if one.startswith(("serious", "critical"))] == []
    assert told == []


def test_a_real_model_answers_in_the_page(chromium: Browser, tiny_server: Running, picture: Path) -> None:
    visit(chromium, tiny_server)
    chromium.choose("#file", picture)
    chromium.wait("!document.getElementById('preview').hidden")
    chromium.run("document.getElementById('tokens').value = 8")
    ask(chromium, "Describe the picture.")
    answered(chromium)
    assert chromium.run("document.querySelector('.words').textContent.length") > 0
    assert chromium.complaints() == []

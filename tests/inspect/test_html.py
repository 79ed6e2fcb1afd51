"""Pages: escaped, with a policy that lets them load and run nothing but what the templates have."""

import ast
import base64
import hashlib
import re
from pathlib import Path

import pytest

from humanvlm.inspect.html import render, with_policy

PAGE = '<!doctype html>\n<meta charset="utf-8">\n{}<body style="width: 3px">{}'


def policy(page: str) -> str:
    (found,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    return str(found)


def test_styles_are_those_of_the_page_and_nothing_else_is_allowed() -> None:
    styles = ["\nbody { color: red; }\n", "svg { fill: blue }"]
    page = with_policy(PAGE.format(f"<style>{styles[0]}</style>", f'<svg><style type="text/css">{styles[1]}</style>'))
    hashes = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
    rules = dict(rule.strip().split(" ", 1) for rule in policy(page).split(";"))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{hashes[0]}' 'sha256-{hashes[1]}'",
        "style-src-attr": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert page.index("Content-Security-Policy") < page.index("<style")


def test_a_page_without_styles_has_none() -> None:
    assert "style-src 'none'" in policy(with_policy(PAGE.format("", "")))
    with pytest.raises(ValueError, match="charset"):
        with_policy("<p>")


def test_texts_are_escaped_and_cannot_turn_or_add_a_style() -> None:
    evil = "</style><style>b{}</style><script>x</script>\u202eok\x00\n&"
    page = render("humanvlm.train", "curves.html.j2", base="base.html.j2", name="a", figures=[], tables={},
                  notes=[evil], replies=False)  # fmt: skip
    assert page.count("<style") == page.count("'sha256-") == 1
    assert "<script" not in page
    assert "\\u202eok\\x00\n&amp;" in page


def test_every_page_is_made_here(repo: Path) -> None:
    makers = {
        path.relative_to(repo).as_posix()
        for room in ("humanvlm", "orchestration", "benchmarks")
        for path in (repo / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "jinja2"
        if {"Environment", "Template"} & {alias.name for alias in node.names}
    }
    assert makers == {"humanvlm/inspect/html.py"}
    scripts = [
        path.name
        for path in (repo / "humanvlm").rglob("templates/*")
        if re.search(r"<script|\son\w+=|javascript:|@import|url\((?!data:|#)", path.read_text(encoding="utf-8"))
    ]
    assert scripts == []

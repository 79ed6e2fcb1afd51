"""Licences: what packages say, in the words of SPDX, and which are allowed."""

from collections.abc import Mapping
from email.message import Message

import pytest

from humanvlm.supply import licences
from humanvlm.supply.licences import is_allowed, licence_of, policy


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("MIT AND Apache-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-2.0-only OR EPL-1.0", True),
        ("(GPL-3.0-only OR MIT) AND AGPL-3.0-only", False),
        ("GPL-2.0-only WITH GCC-exception-2.0", True),
        ("GPL-2.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("a licence of our own", False),
    ],
)
def test_one_alternative_must_be_allowed_in_all_its_parts(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) is allowed


@pytest.mark.parametrize(
    ("told", "licence"),
    [
        ({"License-Expression": "MIT OR Apache-2.0", "License": "GPL"}, "MIT OR Apache-2.0"),
        ({"License": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"License": "Apache Software License 2.0\n\nits text"}, "Apache-2.0"),
        (
            {"License": "Copyright (c) 2001 Somebody", "Classifier": "License :: OSI Approved :: BSD License"},
            "BSD-3-Clause",
        ),
        ({"Classifier": "License :: OSI Approved"}, None),
        ({"License": "do what you like"}, None),
        ({}, None),
    ],
)
def test_a_package_says_its_licence_in_several_ways(
    monkeypatch: pytest.MonkeyPatch, told: Mapping[str, str], licence: str | None
) -> None:
    message = Message()
    for key, value in told.items():
        message.add_header(key, value)
    monkeypatch.setattr(licences, "metadata", lambda package: message)
    assert licence_of("weighty") == licence


def test_what_was_read_goes_before_what_is_said() -> None:
    assert licence_of("waitress") == policy().read["waitress"]
    assert licence_of("no-such-package") is None


def test_the_policy_is_in_the_words_of_spdx() -> None:
    assert all(map(is_allowed, policy().allowed))
    assert all(map(is_allowed, policy().read.values()))
    assert all(map(is_allowed, policy().spellings.values()))

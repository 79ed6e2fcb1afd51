"""Defaults are read as DVC reads them, and every one is a literal."""

from pathlib import Path

import pytest
from dvc.utils.serialize._py import parse_py
from pydantic_core import PydanticUndefined

from humanvlm.config import defaults as module
from humanvlm.config.defaults import classes_of, defaults, literals
from humanvlm.config.loading import Params
from humanvlm.config.section import Section
from humanvlm.pipeline.stages import STAGES

ODD = """
A = 1
B: int = -2
C, D = 1, 2
E = F = 3
G = [1, 'two', (3,)]
H = {'a': 1, 'b': {'c': []}}
I = open('x')
J = ['x', open('y')]
K: int
class L:
    '''Words.'''
    M: list = []
    N = None
    class O:
        P = 1.5e-3
    def __init__(self):
        self.q = 'q'
        local = 1
        self.r: int = 2
    def other(self):
        self.s = 3
def f():
    T = 1
"""


@pytest.mark.parametrize("path", sorted(Path(module.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_config_files_are_read_as_dvc_reads_them(path: Path) -> None:
    assert literals(path.read_text()) == parse_py(path.read_text(), str(path))


def test_odd_code_is_read_as_dvc_reads_it() -> None:
    assert literals(ODD) == parse_py(ODD, "odd.py")


@pytest.mark.parametrize("name", STAGES)
def test_every_default_is_a_literal_that_is_read(name: str) -> None:
    read = {cls: values for file in defaults(STAGES[name].sections).values() for cls, values in file.items()}
    for section in STAGES[name].sections:
        annotation = Params.model_fields[section].annotation
        assert annotation is not None
        for key, field in annotation.model_fields.items():
            if field.default is not PydanticUndefined and not isinstance(field.default, Section):
                found = [values[key] for cls in annotation.__mro__ if key in (values := read.get(cls.__name__, {}))]
                assert found[:1] == [field.default], f"{section}.{key}: write its default as a literal"
            assert field.default_factory is None, f"{section}.{key}: write its default as a literal"


def test_bases_and_nested_classes_are_listed() -> None:
    assert list(classes_of(["benchmark_scores"]).values()) == [["BenchmarkScores", "Source", "Asked"], ["Endpoint"]]
    assert list(classes_of(["stage1_checkpoint", "stage2_checkpoint"]).values()) == [
        ["Stage1"],
        ["Training"],
        ["Stage2", "InstructionFile"],
    ]

"""The slot for a classifier of 40 attributes, with small networks that are made here."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from humanvlm.caption.facts.celeba import NAMES, classifier
from humanvlm.caption.facts.measure import measure
from humanvlm.errors import UserError
from humanvlm.inspect.plots import picture_of

Rows = dict[str, dict[str, Any]]


def save(path: Path, outputs: int = 40, sigmoid: bool = True, last: bool = False, **metadata: str) -> Path:
    """A network whose first three outputs grow with the means of its three channels; the rest say no."""
    weights = np.zeros((3, outputs), dtype=np.float32)
    weights[:, :3] = 20 * np.eye(3)
    bias = np.full(outputs, -9.0, dtype=np.float32)
    shape: list[str | int | None] = ["n", 32, 32, 3] if last else ["n", 3, 32, 32]
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "w", "b"], ["logits"]),
        helper.make_node("Sigmoid" if sigmoid else "Identity", ["logits"], ["y"]),
    ]
    constants: dict[str, Any] = {"axes": np.array([1, 2] if last else [2, 3], dtype=np.int64), "w": weights, "b": bias}
    graph = helper.make_graph(
        nodes,
        "attributes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def red(rows: Rows) -> tuple[np.ndarray[Any, Any], list[float]]:
    """A picture in which everything is red, with a face's points."""
    rgb = np.zeros_like(np.asarray(picture_of(rows["astronaut"])))
    rgb[..., 0] = 230
    return rgb, rows["astronaut"]["faces"][0]["points"]


@pytest.mark.parametrize("last", [False, True])
def test_attributes_have_celebas_names(rows: Rows, tmp_path: Path, last: bool) -> None:
    found = classifier(str(save(tmp_path / f"forty{last}.onnx", last=last)))(*red(rows))
    assert [(one.value, one.source) for one in found] == [("5_o_Clock_Shadow", f"forty{last}")]
    assert found[0].probability > 0.99
    assert len(set(NAMES)) == 40


def test_the_file_says_how_it_wants_its_pictures(rows: Rows, tmp_path: Path) -> None:
    # Attractive, which red in the third channel would say, is never said.
    assert classifier(str(save(tmp_path / "bgr.onnx", channels="BGR")))(*red(rows)) == ()
    scaled = classifier(str(save(tmp_path / "scaled.onnx", mean="0.9,-0.9,0", std="1")))(*red(rows))
    assert [one.value for one in scaled] == ["Arched_Eyebrows"]


def test_people_have_the_attributes(rows: Rows, tmp_path: Path) -> None:
    row = rows["astronaut"]
    found = (row["faces"], row["people"], row["objects"])
    rgb = np.asarray(picture_of(row))
    path = save(tmp_path / "bright.onnx", mean="-0.5", std="1")
    (person,) = measure(rgb, *found, attribute_classifier=str(path)).people
    assert [one.value for one in person.attributes] == ["5_o_Clock_Shadow", "Arched_Eyebrows"]
    assert measure(rgb, *found).people[0].attributes == ()


def test_no_face_has_no_attributes(rows: Rows, tmp_path: Path) -> None:
    assert classifier(str(save(tmp_path / "any.onnx")))(red(rows)[0], [float("nan")] * 12) == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ({"outputs": 39}, "it gave 39 numbers, not 40 probabilities"),
        ({"sigmoid": False}, "not 40 probabilities; end it with a sigmoid"),
        ({"std": "0"}, "std is '0', not one number or three"),
        ({"mean": "1,2"}, "mean is '1,2', not one number or three"),
    ],
)
def test_another_network_is_refused(rows: Rows, tmp_path: Path, make: dict[str, Any], message: str) -> None:
    path = save(tmp_path / "other.onnx", **make)
    with pytest.raises(UserError, match=message):
        classifier(str(path))(*red(rows))


def test_what_is_no_such_file_names_the_key(tmp_path: Path) -> None:
    for name in ("no-such", str(tmp_path / "missing.onnx"), "gender-v1"):
        with pytest.raises(UserError) as error:
            classifier(name)
        assert "\n" not in str(error.value)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(UserError, match="ONNX Runtime cannot open it"):
        classifier(str(broken))

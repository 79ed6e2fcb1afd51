"""Answers of models that think aloud, and of those that wrap what they say."""

import time

import pytest

from humanvlm.inference.replies import Answer, final_answer


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Yes", "Yes"),
        (" a < b, [10, 20, 30, 40]\n", " a < b, [10, 20, 30, 40]\n"),  # without any tag, nothing is touched
        ("<think>A dog? No.</think>Yes", "Yes"),
        ("<THINK type='deep'>No.</Think >\n\nYes", "Yes"),
        ("<thinking>No</thinking>Yes", "Yes"),
        ("<reasoning>No</reasoning> Yes", "Yes"),
        ("No cats are here.\n</think>\n\nYes", "Yes"),
        ("<think>a <think> b</think>c</think>Yes", "Yes"),
        ("<think></think>Yes", "Yes"),
        ("<think/>Yes", "Yes"),
        ("<think>one</think><think>two</think>Yes", "Yes"),
        ("[THINK]No[/THINK]Yes", "Yes"),
        ("◁think▷No◁/think▷Yes", "Yes"),
        ("<|channel|>analysis<|message|>No<|end|><|channel|>final<|message|>Yes", "Yes"),
        ("<answer>Yes</answer>", "Yes"),
        ("<think>No</think><answer> Yes </answer>", "Yes"),
        ("<answer>Yes", "Yes"),
        ("Yes</answer>", "Yes"),
        ("<CONCLUSION>Yes</CONCLUSION>", "Yes"),
        ("The answer is <|begin_of_box|>Yes<|end_of_box|>.", "Yes"),
        ("<think>No</think><answer><|begin_of_box|>Yes<|end_of_box|></answer>", "Yes"),
        (r"So it is $\boxed{\text{Yes}}$.", "Yes"),
        ("<ref>the man</ref><box>1 2 3 4</box>", "<ref>the man</ref><box>1 2 3 4</box>"),
        ("<think>Yes</think>", ""),
        ("I think </i> so", "I think </i> so"),
        ("", ""),
    ],
)
def test_answers(raw: str, text: str) -> None:
    assert final_answer(raw) == Answer(text, raw)


@pytest.mark.parametrize(
    "raw",
    [
        "<think>The man may be at [0, 0, 50, 50]. Yes",
        "Yes. <think>But is it",
        "<think>done</think>Yes<think>or not",
        "<Thinking>Yes",
        "[THINK]<answer>Yes</answer>",
        "<|channel|>analysis<|message|>Yes",
    ],
)
def test_a_thought_that_never_ends_is_no_answer(raw: str) -> None:
    assert final_answer(raw) == Answer("", raw, unfinished=True)


@pytest.mark.parametrize("piece", ["<think>", "</think>", "<think ", "<answer>", "</answer>", "< ", "\\boxed{", "<"])
def test_hostile_replies_take_linear_time(piece: str) -> None:
    start = time.process_time()
    final_answer(piece * 100_000)
    assert time.process_time() - start < 2

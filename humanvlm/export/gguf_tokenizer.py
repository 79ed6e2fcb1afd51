"""A fast tokenizer as GGUF has it: tokens with their kinds, merges, how text is cut first, and the chat template."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gguf import GGUFWriter, TokenType

from humanvlm.errors import UserError
from humanvlm.export.llamacpp import MARKER, MARKER_END

# How Llama 3 cuts text into words.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# A picture is followed by a line break in what the model was trained on.
MARKED = """\
{%- set media = namespace(turns=[]) -%}
{%- for message in messages -%}
{%- if message['content'] is string and '%START%' in message['content'] -%}
{%- set text = message['content'] | replace('%END%', '%END%\\n') -%}
{%- set media.turns = media.turns + [{'role': message['role'], 'content': text}] -%}
{%- else -%}
{%- set media.turns = media.turns + [message] -%}
{%- endif -%}
{%- endfor -%}
{%- set messages = media.turns -%}
""".replace("%START%", MARKER).replace("%END%", MARKER_END)


@dataclass(frozen=True)
class Words:
    """tokens, by id, without the picture's; kinds: of each. merges: pairs, first first. cut: llama.cpp's name of how
    text is cut. ends: the ids that end a reply, that of the tokenizer first."""

    tokens: list[str]
    kinds: list[int]
    merges: list[str]
    cut: str
    chat_template: str
    begin: int | None
    ends: tuple[int, ...]
    pad: int | None


def words_of(processor: Any, ends: tuple[int, ...], where: str) -> Words:
    """The words of a LLaVA's processor. where: what an error names.

    Raises UserError when the tokenizer is no byte-level BPE that llama.cpp cuts as it does, or when the picture's
    token is not its last.
    """
    tokenizer = processor.tokenizer
    saved = json.loads(tokenizer.backend_tokenizer.to_str())
    model = saved["model"]
    if model["type"] != "BPE" or model.get("byte_fallback") or saved.get("normalizer"):
        raise UserError(f"{where}: its tokenizer is no byte-level BPE, the only kind that is written as GGUF")
    added = {entry["id"]: entry for entry in saved["added_tokens"]}
    named = {**{index: token for token, index in model["vocab"].items()}, **{i: e["content"] for i, e in added.items()}}
    size = max(named) + 1
    if processor.image_token_id != size - 1:
        raise UserError(
            f"{where}: the picture's token {processor.image_token!r} is {processor.image_token_id} of {size} tokens; "
            "only the last can be left out of a GGUF file"
        )
    tokens = [named.get(index, f"[PAD{index}]") for index in range(size - 1)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    first = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    return Words(
        tokens=tokens,
        kinds=[int(_kind(index, named, added)) for index in range(size - 1)],
        merges=merges,
        cut=_cut(saved["pre_tokenizer"], model, where),
        chat_template=runtime_template(processor),
        begin=tokenizer.bos_token_id,
        ends=tuple(dict.fromkeys([*first, *ends])),
        pad=tokenizer.pad_token_id,
    )


def describe_words(writer: GGUFWriter, words: Words) -> None:
    """Add the fields ``tokenizer.*``."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(words.cut)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    writer.add_token_merges(words.merges)
    writer.add_add_bos_token(False)  # the chat template writes it where the model was trained with one
    writer.add_chat_template(words.chat_template)
    if words.begin is not None:
        writer.add_bos_token_id(words.begin)
    for add, token in zip((writer.add_eos_token_id, writer.add_eot_token_id), words.ends, strict=False):
        add(token)
    if words.pad is not None:
        writer.add_pad_token_id(words.pad)


def _kind(index: int, named: Mapping[int, str], added: Mapping[int, Mapping[str, Any]]) -> TokenType:
    if index not in named:
        return TokenType.UNUSED
    if index not in added:
        return TokenType.NORMAL
    return TokenType.CONTROL if added[index]["special"] else TokenType.USER_DEFINED


def _cut(pre: Mapping[str, Any] | None, model: Mapping[str, Any], where: str) -> str:
    """llama.cpp's name for how this tokenizer cuts text, in which its regular expressions are written down."""
    steps = (pre or {}).get("pretokenizers", [pre])
    told = []
    for step in steps:
        kind = (step or {}).get("type")
        if kind == "ByteLevel" and not step.get("add_prefix_space"):
            told.append("bytes" if step.get("use_regex", True) else "raw")
        elif kind == "Digits" and step.get("individual_digits"):
            told.append("digits")
        elif kind == "Split" and step["pattern"].get("Regex") == LLAMA3 and step.get("behavior") == "Isolated":
            told.append("llama3")
        else:
            told.append(f"{kind}")
    known = {("bytes",): "gpt-2", ("digits", "bytes"): "smollm", ("llama3", "raw"): "llama-bpe"}
    cut = known.get(tuple(told))
    if cut is None or (cut == "llama-bpe") != bool(model.get("ignore_merges")):
        raise UserError(
            f"{where}: its tokenizer cuts text by {', '.join(told)}; written as GGUF are those of GPT-2, SmolLM and "
            "Llama 3"
        )
    return cut


def runtime_template(processor: Any) -> str:
    """The chat template, which llama.cpp gives a marker, as text, where transformers gives it a picture."""
    return MARKED + str(processor.chat_template or processor.tokenizer.chat_template)

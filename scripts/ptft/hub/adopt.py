"""A tuned model of others is what it is said to be: tuned from the study's checkpoint.

Its weights are those of the same architecture, and text has the same tokens. What else differs (a
template for chats, further tokens, a longer context) is named, and stays.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import tokenizers

from ptft.hub.check import PAGE, TOKENIZER_FILE
from ptft.models.folder import (
    ADAPTER,
    CONFIG,
    TOKENIZER,
    check_model,
    check_tokenizer,
    holds_adapter,
    model_files,
    read_json,
    untied_shapes,
    weight_shapes,
)
from ptft.training.state import link_files

log = logging.getLogger(__name__)

RECORD = "adopted.json"
"""what was adopted, and how it differs from its checkpoint"""
INDIFFERENT = {
    *("_name_or_path", "architectures", "transformers_version", "torch_dtype", "dtype"),
    *("use_cache", "bos_token_id", "eos_token_id", "pad_token_id", "vocab_size"),
}
"""keys of a config.json that change no computation, or that others here look at"""


def adopt(source: Path, checkpoint: Path, output: Path, about: Path) -> None:
    """Link the files of a tuned model of others, if it belongs to a checkpoint of the study.

    Args:
        source: folder of whole weights or of an adapter
        checkpoint: that it is said to be tuned from
        output: folder of the arm's model
        about: what the study says of it, for the record; JSON file

    Raises:
        ValueError: it is no model, or of another architecture or vocabulary.
    """
    if holds_adapter(source):
        _check_adapter(source, checkpoint)
        files, differences = [source / name for name in ADAPTER], []
    else:
        check_model(source)
        _check_shapes(source, checkpoint)
        differences = [*_configured(source, checkpoint), *_tokens(source, checkpoint)]
        files = model_files(source)
        if not any(file.name in TOKENIZER for file in files):
            files += [checkpoint / name for name in TOKENIZER if (checkpoint / name).exists()]
    for difference in differences:
        log.warning("%s differs from its checkpoint: %s", source, difference)
    with link_files(files, output) as folder:
        record = {**json.loads(about.read_text()), "differences": differences}
        (folder / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def _check_shapes(source: Path, checkpoint: Path) -> None:
    """Every weight has the shape of the checkpoint's, rows of tokens included."""
    own, expected = untied_shapes(source), untied_shapes(checkpoint)
    for name in sorted(own.keys() | expected.keys()) if own and expected else ():
        if own.get(name) != expected.get(name):
            raise ValueError(
                f"{source} is not tuned from {checkpoint}: the shape of {name} is {own.get(name)}, "
                f"not {expected.get(name)}; correct `base`, or leave the model out"
            )


def _check_adapter(source: Path, checkpoint: Path) -> None:
    """Each low-rank pair fits the checkpoint's matrix of its name."""
    shapes = weight_shapes(source / ADAPTER[1])
    expected = untied_shapes(checkpoint)
    for name, shape in shapes.items():
        inner, _, part = name.removeprefix("base_model.model.").partition(".lora_")
        whole = expected.get(f"{inner}.weight")
        place = {"A.weight": (1, 1), "B.weight": (0, 0)}.get(part)
        if expected and (whole is None or (place and shape[place[0]] != whole[place[1]])):
            raise ValueError(
                f"{source} is no adapter of {checkpoint}: {name} {shape} changes "
                + (f"a matrix {whole}" if whole else "no matrix there")
                + "; correct `base`, or leave the model out"
            )


def _configured(source: Path, checkpoint: Path) -> Iterator[str]:
    """Keys of the configuration that differ.

    Raises:
        ValueError: it is of another type.
    """
    own, base = (read_json(folder / CONFIG) for folder in (source, checkpoint))
    if own.get("model_type") != base.get("model_type"):
        raise ValueError(
            f"{source} is not tuned from {checkpoint}: {CONFIG} has model_type "
            f"{own.get('model_type')!r}, not {base.get('model_type')!r}"
        )
    for key in sorted((own.keys() & base.keys()) - INDIFFERENT):
        if own[key] != base[key]:
            yield f"{CONFIG} has {key}: {own[key]}, not {base[key]}"


def _tokens(source: Path, checkpoint: Path) -> Iterator[str]:
    """How its tokenizer differs, where text has the same tokens.

    Raises:
        ValueError: a page of text has other tokens, or the tokenizer is of no use.
    """
    if not any((source / name).exists() for name in TOKENIZER):
        yield "it has no tokenizer; the checkpoint's is taken"
        return
    check_tokenizer(source)
    if not all((folder / TOKENIZER_FILE).exists() for folder in (source, checkpoint)):
        yield f"there is no {TOKENIZER_FILE} to compare"
        return
    own, base = (
        tokenizers.Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        for folder in (source, checkpoint)
    )
    known, expected = own.get_vocab(), base.get_vocab()
    if moved := sorted(token for token, at in expected.items() if known.get(token) != at):
        raise ValueError(
            f"{source} has another vocabulary than {checkpoint}: {moved[0]!r} is token "
            f"{known.get(moved[0])}, not {expected[moved[0]]} ({len(moved)} such tokens)"
        )
    for line in PAGE:
        ours, theirs = (each.encode(line, add_special_tokens=False) for each in (own, base))
        if ours.ids != theirs.ids:
            raise ValueError(
                f"{source} splits text otherwise than {checkpoint}: {line!r} begins with tokens "
                f"{ours.tokens[:6]}, not {theirs.tokens[:6]}; scores of the two can't be compared"
            )
    if added := sorted(known.keys() - expected.keys()):
        yield f"further tokens: {', '.join(added[:8])}"
    templates = [_template(folder) for folder in (source, checkpoint)]
    if templates[0] != templates[1]:
        yield "another chat template" if templates[1] else "a chat template of its own"


def _template(folder: Path) -> object:
    file = folder / "chat_template.jinja"
    if file.exists():
        return file.read_text()
    settings = folder / "tokenizer_config.json"
    return read_json(settings).get("chat_template") if settings.exists() else None

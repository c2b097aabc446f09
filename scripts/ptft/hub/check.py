"""Check that a fetched model can be loaded and reads its text, before any job waits for a GPU."""

from pathlib import Path

from ptft.hub.client import HubError
from ptft.models.folder import CONFIG, holds_adapter, read_json

TOKENIZER_FILE = "tokenizer.json"
PAGE = (
    "The café's owner (Zoë) didn't say naïve things; she said 'hi', twice.",
    "  two spaces,\ttab\r\nand   three\n\n\nlines ",
    "0 12 345 6789 10000 3.14159 -2e10 1,234,567 50% $9.99 ½ ² №5 2020-01-05T12:34:56Z",
    "def f(x: int) -> dict:\n    return {**a, 'k': [i ** 2 for i in range(10)]}  # ok\n\t#!/bin/sh",
    '<div class="a">&amp;</div> https://example.org/a_b?c=d#e user@host.org C++ x=y==z!=~|^\\',
    "Съешь ещё этих мягких французских булок. Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "東京は日本の首都です。ｶﾀｶﾅとカタカナ。北京是中国的首都，１２３。서울은 한국의 수도이다.",
    "القاهرة عاصمة مِصر ١٢٣، שלום עולם. भारत की राजधानी दिल्ली है। กรุงเทพมหานคร",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈 ∑∫√≈ → “quotes” – dash — e\u0301 \u00a0nbsp \u200bzero \u2028line",
    "ALLCAPS camelCase snake_case kebab-case don't I'LL we've aaaaaaaaaaaaaaaa",
)
"""a page of text in several scripts, of numbers and of code"""


def check_checkpoint(folder: Path) -> None:
    """Compare a model folder's weights with its architecture, without reading them.

    Raises:
        HubError: transformers does not have the architecture, the weights do not fit it, a file
            does not match its name, or the tokenizer is missing or read as another one.
    """
    from ptft.models.loading import load_model, load_tokenizer

    if holds_adapter(folder):
        return  # it is looked at beside its checkpoint (``ptft.hub.adopt``)
    try:
        _check_architecture(folder)
        check_tokens(folder, load_tokenizer(folder))
        load_model(folder, device="meta")
    except ValueError as error:
        raise HubError(str(error)) from error


def check_metric(folder: Path) -> None:
    """Load a metric, so that it downloads what it needs.

    Raises:
        HubError: it can't be loaded, or needs a package that is not installed.
    """
    from ptft.evaluation.metrics import MetricError, load_metric

    try:
        load_metric(folder.name.removesuffix(".part"), folder)
    except MetricError as error:
        raise HubError(str(error)) from error


CHECKS = {"model": check_checkpoint, "space": check_metric}
"""kind of a pin -> what refuses a fetched folder that is of no use"""


def check_tokens(folder: Path, tokenizer) -> None:
    """Refuse a tokenizer that transformers builds otherwise than its file says.

    For some classes transformers makes a tokenizer of its own from the file's vocabulary, with
    other rules of where words are split: all scores would be of other tokens, in silence.

    Args:
        folder: of the model; without a tokenizer.json there is nothing to compare.
        tokenizer: that transformers makes of it.

    Raises:
        HubError: naming the first line of ``PAGE`` that is read differently, and the versions.
    """
    import tokenizers
    import transformers

    file = folder / TOKENIZER_FILE
    if not file.exists():
        return
    try:
        plain = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # of the library's own, without a class
        raise HubError(f"{file} can't be read: {error}") from error
    for line in PAGE:
        expected = plain.encode(line, add_special_tokens=False)
        found = tokenizer(line, add_special_tokens=False)["input_ids"]
        if found != expected.ids:
            pairs = zip([*found, None], [*expected.ids, None], strict=False)
            at = next(number for number, (one, other) in enumerate(pairs) if one != other)
            pieces = tokenizer.convert_ids_to_tokens(found[at : at + 4])
            raise HubError(
                f"{file}: transformers {transformers.__version__} reads other tokens than "
                f"tokenizers {tokenizers.__version__}: of {line!r} the tokens from {at} on are "
                f"{pieces}, not {expected.tokens[at : at + 4]}. The model would be scored on text "
                "that it was not trained on: correct `tokenizer_class` in tokenizer_config.json, "
                "or take a version of transformers that reads it right"
            )


def is_native(folder: Path) -> bool:
    """Whether a model is in OLMo's own format behind a config.json (``hf_olmo``)."""
    config = read_json(folder / CONFIG) if (folder / CONFIG).exists() else {}
    return config.get("model_type") in ("hf_olmo", "olmo") and "d_model" in config


def _check_architecture(folder: Path) -> None:
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

    config = read_json(folder / CONFIG)
    kind = str(config.get("model_type"))
    if kind not in CONFIG_MAPPING:
        code = " and brings code of its own, which is never run" if "auto_map" in config else ""
        raise HubError(
            f"{folder}/config.json: model_type {kind!r} is not known to transformers{code}. Look "
            "for a repository of the same model in transformers' format (often named …-hf)"
        )
    if CONFIG_MAPPING[kind] not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise HubError(f"{folder}/config.json: {kind!r} is not a causal language model")

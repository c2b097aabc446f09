"""Check that a fetched model can be loaded, before any job waits for a GPU."""

from pathlib import Path

from ptft.hub.client import HubError
from ptft.models.folder import CONFIG, read_json


def check_checkpoint(folder: Path) -> None:
    """Compare a model folder's weights with its architecture, without reading them.

    Raises:
        HubError: transformers does not have the architecture, the weights do not fit it, a file
            does not match its name, or the tokenizer is missing.
    """
    from ptft.models.loading import load_model, load_tokenizer

    try:
        _check_architecture(folder)
        load_tokenizer(folder)
        load_model(folder, device="meta")
    except ValueError as error:
        raise HubError(str(error)) from error


def _check_architecture(folder: Path) -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config = read_json(folder / CONFIG)
    kind = str(config.get("model_type"))
    if kind not in CONFIG_MAPPING:
        code = " and brings code of its own, which is never run" if "auto_map" in config else ""
        raise HubError(
            f"{folder}/config.json: model_type {kind!r} is not known to transformers{code}. Look "
            "for a repository of the same model in transformers' format (often named …-hf)"
        )
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise HubError(f"{folder}/config.json: {kind!r} is not a causal language model")

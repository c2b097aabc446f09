"""Model folders: the one list of the files that belong to one.

They are what is fetched of a repository, what fine-tuning copies of a checkpoint's tokenizer, and
what a hash of a model is over. All else in a folder (notes, curves, logs) decides no score.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

CONFIG = "config.json"
CONFIGURATION = (CONFIG, "generation_config.json")
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER = (ADAPTER_CONFIG, "adapter_model.safetensors")
# Without any of these, transformers makes an empty tokenizer of the model's kind.
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")
TOKENIZER = (
    *VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
TRAINING_SUMMARY = "training.json"
# What training leaves beside the weights; the summary comes last, when the others are there.
RECORDS = ("curve.parquet", TRAINING_SUMMARY)
SHARD = r"(-\d+-of-\d+)?"
SAFETENSORS = re.compile(rf"(pytorch_)?model{SHARD}\.safetensors|model\.safetensors\.index\.json")
# How transformers' classes of causal language models end, and what they call the output layer.
CAUSAL = ("ForCausalLM", "LMHeadModel")
HEAD = re.compile(r"(^|\.)(lm_head|embed_out|output|output_layer)\.weight$")
PICKLES = re.compile(rf"pytorch_model{SHARD}\.bin|pytorch_model\.bin\.index\.json")


def weights_among(names: Iterable[str]) -> list[str]:
    """A model's weights among file names: safetensors, or pickles where there are none."""
    names = sorted(names)
    safe = [name for name in names if SAFETENSORS.fullmatch(name)]
    return safe or [name for name in names if PICKLES.fullmatch(name)]


def model_files(folder: Path) -> list[Path]:
    """All files that decide what a model or adapter does: configuration, tokenizer, weights.

    Raises:
        ValueError: the folder holds neither.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    weights = weights_among(names)
    whole = CONFIG in names and weights
    if not (whole or names.issuperset(ADAPTER)):
        raise ValueError(
            f"{folder} is not a model folder: expected {CONFIG} and weights (model.safetensors), "
            f"found {', '.join(sorted(names)) or 'nothing'}"
        )
    # An adapter beside whole weights is merged in them already.
    known = {*CONFIGURATION, *TOKENIZER, *(weights if whole else ADAPTER)}
    return [folder / name for name in sorted(names & known)]


def holds_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole weights."""
    if not (folder / ADAPTER_CONFIG).exists():
        return False
    names = {path.name for path in folder.iterdir()}
    return not (CONFIG in names and weights_among(names))


def weight_files(folder: Path) -> list[Path]:
    """A folder's weights alone, without an index of them.

    Raises:
        ValueError: as ``model_files``.
    """
    files = model_files(folder)
    weights = weights_among(file.name for file in files)
    return [file for file in files if file.name in weights and file.suffix != ".json"]


def check_tokenizer(folder: Path) -> None:
    """Refuse a folder without a tokenizer, or with one that knows more tokens than the model.

    Without any, transformers would make an empty one.

    Raises:
        ValueError: naming the files that are expected, or the numbers of tokens.
    """
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise ValueError(
            f"{folder} has no tokenizer: expected {' or '.join(VOCABULARIES)}; copy the one that "
            "the model was trained with"
        )
    rows = read_json(folder / CONFIG).get("vocab_size") if (folder / CONFIG).exists() else None
    if (folder / VOCABULARIES[0]).is_file() and isinstance(rows, int):
        last = _last_token((folder / VOCABULARIES[0]).read_bytes())
        if last >= rows:
            raise ValueError(
                f"{folder / VOCABULARIES[0]} numbers its tokens up to {last}, but the model's "
                f"embedding has {rows} rows ({CONFIG}, vocab_size): copy the tokenizer that the "
                "model was trained with"
            )


@cache
def _last_token(tokenizer: bytes) -> int:
    """Largest number of a token that a text may have, by a tokenizer.json; -1 if it has none.

    Special tokens stand for no text, and are often added without a row of the embedding.
    """
    content = json.loads(tokenizer)
    vocabulary = content.get("model", {}).get("vocab", {})
    added = content.get("added_tokens", [])
    special = {token["id"] for token in added if token.get("special")}
    ids = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
    plain = [token["id"] for token in added]
    return max((number for number in (*ids, *plain) if number not in special), default=-1)


def check_model(folder: Path) -> None:
    """Refuse a model folder whose files do not belong together, without reading its weights.

    Raises:
        ValueError: naming the file that is missing, cut short or not readable.
    """
    names = {path.name for path in model_files(folder)}
    if names.issuperset(ADAPTER):
        base = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
        raise ValueError(
            f"{folder} holds an adapter (of {base}) and no whole weights: merge it into its model "
            "(peft's merge_and_unload, then save_pretrained), and name that folder"
        )
    config = read_json(folder / CONFIG)
    if not config.get("architectures"):
        raise ValueError(f"{folder / CONFIG} names no `architectures`: nobody can build the model")
    kind = str(config["architectures"][0])
    if not kind.endswith(CAUSAL):
        raise ValueError(
            f"{folder / CONFIG}: architectures names {kind}, which has no output layer to predict "
            "tokens with: save the model as a causal language model (…ForCausalLM)"
        )
    for index in (name for name in names if name.endswith(".index.json")):
        shards = read_json(folder / index).get("weight_map")
        if not isinstance(shards, dict):
            raise ValueError(f"{folder / index} has no `weight_map`; fetch it again")
        for shard in sorted(set(map(str, shards.values())) - names):
            raise ValueError(f"{folder / shard} is missing, which {index} names; fetch it again")
    shapes = model_shapes(folder)
    untied = config.get("tie_word_embeddings") is False
    if untied and shapes and not any(HEAD.search(name) for name in shapes):
        raise ValueError(
            f"{folder} has weights without an output layer (lm_head), and {CONFIG} says that it is "
            "not the embedding (tie_word_embeddings: false): save the whole model"
        )


def model_shapes(folder: Path) -> dict[str, list[int]]:
    """Name -> shape of a model's weights; empty where they are pickles.

    Raises:
        ValueError: as ``weight_shapes``.
    """
    files = [file for file in weight_files(folder) if file.suffix == ".safetensors"]
    return {name: shape for file in files for name, shape in weight_shapes(file).items()}


def untied_shapes(folder: Path) -> dict[str, list[int]]:
    """As ``model_shapes``, without an output layer that repeats the embedding."""
    tied = read_json(folder / CONFIG).get("tie_word_embeddings", False)
    shapes = model_shapes(folder)
    return {name: shape for name, shape in shapes.items() if not (tied and HEAD.search(name))}


def weight_shapes(file: Path) -> dict[str, list[int]]:
    """Name -> shape of the weights in a file of safetensors, from its header.

    Raises:
        ValueError: the header is not that of a file of this size.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as weights:
            names = weights.keys()
            return {name: weights.get_slice(name).get_shape() for name in names}
    except SafetensorError as error:
        raise ValueError(
            f"{file} is cut short or no file of safetensors ({error}); fetch or copy it again"
        ) from None


def read_json(file: Path) -> dict:
    """A model folder's configuration or index.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        content = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds a {type(content).__name__}, expected a JSON object")
    return content


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy a checkpoint's tokenizer files, byte for byte."""
    for name in TOKENIZER:
        if (source / name).exists():
            (target / name).write_bytes((source / name).read_bytes())


def keep_records(model: Path, folder: Path) -> None:
    """Copy the training records out of a tuned model's folder, which will be deleted."""
    if not (model / TRAINING_SUMMARY).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in RECORDS:
        if (model / name).is_dir():
            shutil.copytree(model / name, folder / name)
        elif (model / name).exists():
            shutil.copy2(model / name, folder / name)


def hash_files(files: Iterable[Path]) -> str:
    """SHA-256 of the names and contents of files."""
    digest = hashlib.sha256()
    for file in sorted(files):
        with open(file, "rb") as content:
            inner = hashlib.file_digest(content, "sha256").hexdigest()
        digest.update(f"{file.name}\0{inner}\0".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk whose files and hash are looked up once.

    Attributes:
        folder: of whole weights, or of an adapter.
        checkpoint: that it was trained from; of a checkpoint it is the folder itself.
    """

    folder: Path
    checkpoint: Path

    @cached_property
    def is_adapter(self) -> bool:
        """Whether the folder holds an adapter of the checkpoint, not whole weights."""
        return holds_adapter(self.folder)

    @cached_property
    def origin(self) -> "ModelFolder":
        """The checkpoint that it was trained from; itself where it is one."""
        return self if self.is_checkpoint else ModelFolder(self.checkpoint, self.checkpoint)

    @property
    def is_checkpoint(self) -> bool:
        """Whether it was trained from no other."""
        return self.folder == self.checkpoint

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that decides its scores; an adapter's checkpoint does as well.

        Raises:
            ValueError: as ``model_files``.
        """
        own = self.own_hash
        if self.is_checkpoint or not self.is_adapter:
            return own
        return hashlib.sha256(f"{own} on {self.origin.hash}".encode()).hexdigest()

    @cached_property
    def own_hash(self) -> str:
        """SHA-256 of the folder's own files; raises ValueError as ``model_files``."""
        return hash_files(model_files(self.folder))

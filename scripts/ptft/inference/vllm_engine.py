"""Generation by vLLM, which a study may ask for: paged keys and values, CUDA graphs for decoding.

Labels and choices are scored by the engine itself, so the model is in memory twice. The prompts
are the same token ids, the ends the same, and texts are cut by the same code.
"""

import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from ptft.inference.batches import MEMORY_SHARE
from ptft.inference.engine import Engine
from ptft.inference.generation import Generated, StopStrings, greedy
from ptft.models.folder import holds_adapter
from ptft.models.loading import LoadedModel

# Its model runs in a process of its own, since vLLM changes transformers' classes there; started
# anew, as a fork would take along this one's threads. It reports to nobody.
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
    "VLLM_WORKER_MULTIPROCESSING_METHOD": "spawn",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
}
# Keys and values on a CPU, in bytes: contexts of a model that one would run there.
CPU_CACHE = 2**30


class VllmEngine(Engine):
    """As ``Engine``, but with vLLM for generation.

    Args:
        loaded: the model.
        folder: what it was loaded from; an adapter's is merged for vLLM.

    Raises:
        ModuleNotFoundError: vLLM is not installed.
        RuntimeError: it does not start; its own messages before say why.
    """

    def __init__(self, loaded: LoadedModel, folder: Path):
        super().__init__(loaded)
        self._llm = _start(loaded, folder)

    def _continued(self, prompts, max_new_tokens, stop, progress, chooser) -> Iterable[Generated]:
        """As ``Engine``'s, which draws where that is asked for; told when all prompts are done."""
        if chooser is not greedy:
            return super()._continued(prompts, max_new_tokens, stop, progress, chooser)
        stops = StopStrings(self.loaded, stop)
        generated: list[list[int]] = [[] for _ in prompts]
        ended = ["length"] * len(prompts)
        open_ = list(range(len(prompts)))
        while open_:
            rows = [prompts[number].context + generated[number] for number in open_]
            left = [max_new_tokens - len(generated[number]) for number in open_]
            for number, (ids, why) in zip(open_, self._asked(rows, left, stop), strict=True):
                generated[number] += ids
                ended[number] = why
            # vLLM also stops at a line break in front of an answer, which is none of its end.
            open_ = [
                number
                for number in open_
                if ended[number] == "stop" and not stops.reached(generated[number])
            ]
            for number in open_:
                ended[number] = "length"
            open_ = [number for number in open_ if len(generated[number]) < max_new_tokens]
        progress(len(prompts))
        return list(zip(generated, ended, strict=True))

    def _asked(
        self, contexts: Sequence[list[int]], most: Sequence[int], stop: Sequence[str]
    ) -> Iterator[Generated]:
        """Ids that vLLM generates behind each context, at most so many."""
        from vllm import SamplingParams

        eos_ids = self.loaded.eos_ids
        options = [
            SamplingParams(
                temperature=0.0,
                max_tokens=tokens,
                stop=list(stop),
                stop_token_ids=sorted(eos_ids),
                ignore_eos=True,  # the ids above are all the ends there are
                detokenize=bool(stop),
                logprobs=0,  # of the chosen token alone: NaN logits show there, and only there
            )
            for tokens in most
        ]
        rows = [{"prompt_token_ids": context} for context in contexts]
        for answer in self._llm.generate(rows, options, use_tqdm=False):
            (output,) = answer.outputs
            if not math.isfinite(output.cumulative_logprob):
                raise FloatingPointError("the model's logits are not finite (NaN or infinite)")
            ids = list(output.token_ids)
            if ids[-1] in eos_ids:
                yield ids[:-1], "end"
            else:
                yield ids, "stop" if output.finish_reason == "stop" else "length"

    def gpu_memory(self) -> int:
        """Bytes of the GPU that are in use: vLLM keeps what it took at its start."""
        free, total = torch.cuda.mem_get_info(self.loaded.device)
        return total - free


def _start(loaded: LoadedModel, folder: Path):
    os.environ.update(ENVIRONMENT)
    from vllm import LLM

    with tempfile.TemporaryDirectory() as merged:
        weights = folder
        if holds_adapter(folder):
            loaded.model.save_pretrained(merged)
            weights = merged
        return LLM(
            model=str(weights),
            tokenizer=str(folder),
            dtype=str(loaded.model.dtype).removeprefix("torch."),
            max_model_len=loaded.max_length,
            generation_config="vllm",  # no sampling settings from the model's folder
            hf_overrides={"head_dtype": "float32"},  # tokens are chosen as in ``exact_head``
            seed=0,
            **_memory(loaded.device),
        )


def _memory(device: torch.device) -> dict:
    """vLLM takes as much as a batch of the engine's own may, of what is free."""
    if device.type == "cpu":
        return {"kv_cache_memory_bytes": CPU_CACHE, "enforce_eager": True}
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info(device)
    return {"gpu_memory_utilization": MEMORY_SHARE * free / total}

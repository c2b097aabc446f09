"""Contestants of the evaluation benchmark: the tasks, and ways to evaluate them.

Contestants:
    engine      ptft.evaluation, encoding of the prompts included
    release     batch 1 and the whole prompt, as the paper's release: logits of all positions for
                labels and choices, transformers' own `generate` with its cache for generation
    batch 1     the same with only the logits that are needed: what sharing and batching bring
    harness xN  lm-evaluation-harness, `hf` backend, batches of N; left out where it is not
                installed. For MNLI it scores whole labels, as it has no
                scoring of first sub-tokens; its predictions are compared with the engine's own
                whole-label predictions, which are computed in the same run.
    vllm        the engine with vLLM for generation, where it is installed; it runs in processes of
                its own, whose CPU time and memory are not measured. Its prefix cache is emptied
                before each round. `make test-vllm` makes an environment with its CPU build.
"""

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from texts import NEW_TOKENS, default_cell, examples

from ptft.evaluation.cells import CellRequest, cell_prompts, cell_shots
from ptft.evaluation.results import CellResults
from ptft.evaluation.scoring import evaluate_cell
from ptft.inference.engine import Engine
from ptft.inference.vllm_engine import VllmEngine
from ptft.models.loading import LoadedModel
from ptft.prompts.encoding import Prompt
from ptft.prompts.templates import completion, few_shot_prompt
from ptft.prompts.tokens import label_tokens

TASKS = {
    "mnli": ("mnli_matched", "validation_matched", "train[:64]"),
    "hellaswag": ("hellaswag", "validation[64:]", "validation[:64]"),
    "xsum": ("xsum", "test", "train[:64]"),
}
"""task -> dataset, the splits that are scored and that shots are drawn from"""


@dataclass
class Task:
    """A cell with its rows, and rows to draw shots from."""

    cell: CellRequest
    examples: list[dict]
    pool: list[dict]

    @cached_property
    def shots(self) -> list[dict]:
        """The solved examples of each prompt."""
        return list(cell_shots(self.cell, self.pool))

    def prompts(self, loaded: LoadedModel) -> list[Prompt]:
        """The prompts that every contestant gets."""
        return cell_prompts(
            loaded.tokenizer, self.cell, self.shots, self.examples, loaded.max_length
        )


def read_task(name: str, hub: Path, rows: int) -> Task:
    """The first rows of a test set, and rows to draw shots from."""
    dataset, split, pool = TASKS[name]
    cell = default_cell(dataset)
    return Task(cell, examples(hub, cell, split)[:rows], examples(hub, cell, pool))


def run_engine(engine: Engine, task: Task) -> CellResults:
    """The whole cell, as the workflow does it; the prefix is run anew."""
    return evaluate_cell(Engine(engine.loaded, engine.budget), task.cell, task.examples, task.pool)


def start_vllm(loaded: LoadedModel) -> VllmEngine:
    """vLLM on the same weights."""
    with tempfile.TemporaryDirectory() as folder:
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        return VllmEngine(loaded, Path(folder))


def run_vllm(engine: VllmEngine, task: Task) -> CellResults:
    """The whole cell, nothing of it in a cache."""
    engine._llm.reset_prefix_cache()
    return evaluate_cell(engine, task.cell, task.examples, task.pool)


@torch.inference_mode()
def run_release(loaded: LoadedModel, task: Task, lean: bool = False) -> CellResults:
    """Whole prompts, one at a time; ``lean`` computes the needed logits only."""
    results = CellResults()
    labels = task.cell.labels or ()
    first = label_tokens(loaded.tokenizer, labels)
    for row, prompt in zip(task.examples, task.prompts(loaded), strict=True):
        context = torch.tensor([prompt.context], device=loaded.device)
        if task.cell.kind == "classification":
            options = {"use_cache": False, "logits_to_keep": 1} if lean else {}
            logits = loaded.model(context, **options).logits[0, -1]
            logprobs = logits.float().log_softmax(-1)
            scores = [max(logprobs[list(first[label])].tolist()) for label in labels]
            results.logprobs.append(scores)
            results.predicted.append(labels[scores.index(max(scores))])
        elif task.cell.kind == "multiple_choice":
            scores = [
                _whole(loaded, prompt.context, continuation, lean)
                for continuation in prompt.continuations
            ]
            results.logprobs.append(scores)
            share = [score / len(text) for score, text in zip(scores, row["choices"], strict=True)]
            results.predicted.append(share.index(max(share)))
        else:
            ids = loaded.model.generate(
                context, attention_mask=torch.ones_like(context), do_sample=False,
                max_new_tokens=NEW_TOKENS, pad_token_id=loaded.pad,
            )[0, len(prompt.context) :]  # fmt: skip
            text = loaded.tokenizer.decode(ids, skip_special_tokens=True)
            results.predicted.append(text.strip())
    return results


def _whole(loaded: LoadedModel, context: list[int], continuation: list[int], lean: bool) -> float:
    """Log-likelihood of a continuation by the whole prompt."""
    ids = torch.tensor([context + continuation[:-1]], device=loaded.device)
    options = {"use_cache": False, "logits_to_keep": len(continuation)} if lean else {}
    logits = loaded.model(ids, **options).logits[0, -len(continuation) :]
    targets = torch.tensor(continuation, device=loaded.device)[:, None]
    return logits.float().log_softmax(-1).gather(1, targets).sum().item()


def run_harness(loaded: LoadedModel, task: Task, batch: int) -> CellResults:
    """The same prompts through lm-evaluation-harness's own loop."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=batch)
    results = CellResults()
    if task.cell.kind == "generation":
        # It is given the ids of the shared prompts as text; nothing else is in the context.
        options = {"until": [], "max_gen_toks": NEW_TOKENS, "do_sample": False}
        requests = [
            Instance("generate_until", {}, (loaded.tokenizer.decode(prompt.context), options), at)
            for at, prompt in enumerate(task.prompts(loaded))
        ]
        texts = lm.generate_until(requests, disable_tqdm=True)
        results.predicted = [text.strip() for text in texts]
        return results
    answers = [row.get("choices", task.cell.labels) for row in task.examples]
    requests = [
        Instance(
            "loglikelihood",
            {},
            (few_shot_prompt(task.cell.template, task.shots, row), completion(text)),
            at,
        )
        for at, (row, texts) in enumerate(zip(task.examples, answers, strict=True))
        for text in texts
    ]
    scores = iter(lm.loglikelihood(requests, disable_tqdm=True))
    for texts in answers:
        values = [next(scores)[0] for _ in texts]
        results.logprobs.append(values)
        lengths = [len(text) for text in texts] if "choices" in task.examples[0] else [1] * 3
        share = [value / length for value, length in zip(values, lengths, strict=True)]
        results.predicted.append(share.index(max(share)))
    return results


def whole_label_results(engine: Engine, task: Task) -> CellResults:
    """MNLI by whole labels as multiple choice: what the harness scores. Not timed."""
    labels = task.cell.labels or ()
    chosen = [
        [{**row, "choices": labels, "gold": labels.index(row["gold"])} for row in rows]
        for rows in (task.examples, task.pool)
    ]
    cell = replace(task.cell, kind="multiple_choice", labels=None)
    results = evaluate_cell(engine, cell, *chosen)
    results.predicted = [row.index(max(row)) for row in results.logprobs]
    return results

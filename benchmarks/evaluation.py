"""Evaluation throughput: this engine, the release's way, and lm-evaluation-harness.

Same model, same prompts with 4 shots, and the same predictions, which is checked. The contestants
take turns in every round, and a ratio is the median of the rounds' ratios: of wall time, and of CPU
time over all threads, which other work on the machine disturbs less. On a CPU a small OLMo with
random weights and the real vocabulary in float32; on a CUDA device OLMo-1B's shape in bfloat16.
Real texts of MNLI, HellaSwag and XSum under the real OLMo tokenizer.

    python benchmarks/evaluation.py                     # a table, and benchmarks/results/*.json
    python benchmarks/evaluation.py --tasks mnli        # one task; the others' results are kept

Contestants:
    engine      ptft.evaluation, encoding of the prompts included
    release     batch 1 and the whole prompt, as the paper's release: logits of all positions for
                labels and choices, transformers' own `generate` with its cache for generation
    batch 1     the same with only the logits that are needed: what sharing and batching bring
    harness xN  lm-evaluation-harness, `hf` backend, batches of N (on CUDA its automatic batch);
                left out where it is not installed. For MNLI it scores whole labels, as it has no
                scoring of first sub-tokens; its predictions are compared with the engine's own
                whole-label predictions, which are computed in the same run.
"""

import argparse
import importlib.util
import json
import logging
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from training import REPOSITORY, ROOFLINE_FLOPS, Clock, machine, matrix_flops, measured, new_model
from transformers import AutoTokenizer

from ptft.evaluation.cells import Cell, Results
from ptft.evaluation.encoding import Prompt, encode_examples
from ptft.evaluation.engine import Engine
from ptft.evaluation.model import LoadedModel, wrap_model
from ptft.evaluation.scoring import evaluate_cell
from ptft.prompts import completion, few_shot_prompt, select_shots
from ptft.tokens import label_tokens

SHOTS = 4
NEW_TOKENS = 60
NLI_LABELS = ("entailment", "neutral", "contradiction")
ENGINE, RELEASE, LEAN = "engine", "release", "batch 1"
ROWS = {"cpu": {"mnli": 64, "hellaswag": 12, "xsum": 16}, "cuda": dict.fromkeys(
    ("mnli", "hellaswag", "xsum"), 512)}  # fmt: skip
# On a CPU its automatic batch begins with 64 x 2,048 tokens, whose logits take 26 GB. Batches of
# 1, 2, 4 and 8 took 4.8, 4.6, 4.8 and 4.8 s of CPU time on four rows of HellaSwag.
HARNESS_BATCH = {"cpu": 2, "cuda": "auto"}


@dataclass
class Task:
    """A cell with its rows."""

    cell: Cell
    examples: list[dict]
    pool: list[dict]


def template_of(family: str) -> str:
    """The default format of a family."""
    import yaml

    text = (REPOSITORY / f"config/families/{family}.yaml").read_text()
    return yaml.safe_load(text)["formats"]["default"]


def read_task(name: str, shared: Path, rows: int) -> Task:
    """The first rows of a test set, and rows to draw shots from."""
    from pyarrow import parquet

    def read(folder: str, split: str, most: int) -> list[dict]:
        file = shared / f"hub/datasets/{folder}/{split}-00000-of-00001.parquet"
        return parquet.read_table(file).slice(0, most).to_pylist()

    def nli(row: dict) -> dict:
        return {"fields": row, "gold": NLI_LABELS[row["label"]]}

    def ending(row: dict) -> dict:
        return {"fields": row, "choices": row["endings"], "gold": int(row["label"])}

    def summary(row: dict) -> dict:
        return {"fields": row, "gold": row["summary"]}

    if name == "mnli":
        cell = Cell(name, "default", SHOTS, "classification", template_of("nli"), NLI_LABELS)
        rated = [row for row in read("nyu-mll/glue/mnli", "validation_matched", 2 * rows)
                 if row["label"] >= 0]  # fmt: skip
        test, pool, turn = rated[:rows], read("nyu-mll/glue/mnli", "train", 64), nli
    elif name == "hellaswag":
        cell = Cell(name, "default", SHOTS, "multiple_choice", "{ctx}")
        both = read("Rowan/hellaswag/default", "validation", rows + 64)
        test, pool, turn = both[:rows], both[rows:], ending
    else:
        cell = Cell(name, "default", SHOTS, "generation", template_of("summarization"),
                    max_new_tokens=NEW_TOKENS)  # fmt: skip
        test = read("EdinburghNLP/xsum/default", "test", rows)
        pool, turn = read("EdinburghNLP/xsum/default", "train", 64), summary

    def prepare(split: str, found: list[dict]) -> list[dict]:
        return [{"example_id": f"{split}-{at:06d}", **turn(row)} for at, row in enumerate(found)]

    return Task(cell, prepare("test", test), prepare("shots", pool))


def encode(loaded: LoadedModel, task: Task) -> list[Prompt]:
    """The prompts that every contestant gets."""
    cell = task.cell
    shots = select_shots(task.pool, SHOTS, 0, balanced=cell.kind != "generation")
    return encode_examples(
        loaded.tokenizer, cell.template, shots, task.examples,
        lambda row: row.get("choices", ()), loaded.max_length, cell.max_new_tokens or 0,
    )  # fmt: skip


def run_engine(engine: Engine, task: Task) -> Results:
    """The whole cell, as the workflow does it; the prefix is run anew."""
    return evaluate_cell(Engine(engine.loaded, engine.budget), task.cell, task.examples, task.pool)


@torch.inference_mode()
def run_release(loaded: LoadedModel, task: Task, lean: bool = False) -> Results:
    """Whole prompts, one at a time; ``lean`` computes the needed logits only."""
    results = Results()
    first = label_tokens(loaded.tokenizer, NLI_LABELS)
    for row, prompt in zip(task.examples, encode(loaded, task), strict=True):
        context = torch.tensor([prompt.context], device=loaded.device)
        if task.cell.kind == "classification":
            options = {"use_cache": False, "logits_to_keep": 1} if lean else {}
            logits = loaded.model(context, **options).logits[0, -1]
            logprobs = logits.float().log_softmax(-1)
            scores = [max(logprobs[list(first[label])].tolist()) for label in NLI_LABELS]
            results.logprobs.append(scores)
            results.predicted.append(NLI_LABELS[scores.index(max(scores))])
        elif task.cell.kind == "multiple_choice":
            scores = [_whole(loaded, prompt.context, branch, lean) for branch in prompt.branches]
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


def _whole(loaded: LoadedModel, context: list[int], branch: list[int], lean: bool) -> float:
    """Log-likelihood of a branch by the whole prompt."""
    ids = torch.tensor([context + branch[:-1]], device=loaded.device)
    options = {"use_cache": False, "logits_to_keep": len(branch)} if lean else {}
    logits = loaded.model(ids, **options).logits[0, -len(branch) :]
    targets = torch.tensor(branch, device=loaded.device)[:, None]
    return logits.float().log_softmax(-1).gather(1, targets).sum().item()


def run_harness(loaded: LoadedModel, task: Task, prompts: list[Prompt], batch) -> Results:
    """The same prompts through lm-evaluation-harness's own loop."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=batch)
    results = Results()
    if task.cell.kind == "generation":
        # It is given the ids of the shared prompts as text; nothing else is in the context.
        options = {"until": [], "max_gen_toks": NEW_TOKENS, "do_sample": False}
        requests = [
            Instance("generate_until", {}, (loaded.tokenizer.decode(prompt.context), options), at)
            for at, prompt in enumerate(prompts)
        ]
        texts = lm.generate_until(requests, disable_tqdm=True)
        results.predicted = [text.strip() for text in texts]
        return results
    shots = select_shots(task.pool, SHOTS, 0, balanced=True)
    answers = [row.get("choices", NLI_LABELS) for row in task.examples]
    requests = [
        Instance(
            "loglikelihood",
            {},
            (few_shot_prompt(task.cell.template, shots, row), completion(text)),
            at,
        )  # fmt: skip
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


def whole_label_results(engine: Engine, task: Task) -> Results:
    """MNLI by whole labels as multiple choice: what the harness scores. Not timed."""
    rows = [
        {**row, "choices": NLI_LABELS, "gold": NLI_LABELS.index(row["gold"])}
        for row in task.examples
    ]
    pool = [{**row, "choices": NLI_LABELS, "gold": NLI_LABELS.index(row["gold"])}
            for row in task.pool]  # fmt: skip
    cell = Cell("mnli", "default", SHOTS, "multiple_choice", task.cell.template)
    results = evaluate_cell(engine, cell, rows, pool)
    results.predicted = [row.index(max(row)) for row in results.logprobs]
    return results


def deviation(ours: Results, theirs: Results) -> float | None:
    """Largest difference between two contestants' log-likelihoods; None for generation."""
    if ours.logprobs[:1] == [None] or not theirs.logprobs:
        return None
    return max(
        abs(one - other)
        for row, another in zip(ours.logprobs, theirs.logprobs, strict=True)
        for one, other in zip(row, another, strict=True)
    )


def measure_task(task: Task, loaded: LoadedModel, rounds: int, peak: float) -> list[dict]:
    """One row of results a contestant; all contestants run in every round."""
    device = loaded.device
    engine, prompts = Engine(loaded), encode(loaded, task)
    contestants: dict[str, Callable[[], Results]] = {
        ENGINE: lambda: run_engine(engine, task),
        RELEASE: lambda: run_release(loaded, task),
    }
    if task.cell.kind != "generation":  # `generate` computes the last position's logits only
        contestants[LEAN] = lambda: run_release(loaded, task, lean=True)
    if importlib.util.find_spec("lm_eval"):
        batch = HARNESS_BATCH[device.type]
        contestants[f"harness x{batch}"] = lambda: run_harness(loaded, task, prompts, batch)
    # What is run for the first time is slower: a few rows of everything before the clock starts.
    few = Task(task.cell, task.examples[:2], task.pool)
    run_engine(engine, few)
    run_release(loaded, few)
    times: dict[str, list[Clock]] = {key: [] for key in contestants}
    memory = dict.fromkeys(contestants, 0)
    results: dict[str, Results] = {}

    def timed(key: str) -> Clock:
        begun = Clock.now(device)
        results[key] = contestants[key]()
        return Clock.now(device).since(begun)

    for turn in range(rounds):
        order = list(contestants)
        for key in order if turn % 2 == 0 else reversed(order):
            took, peak_bytes = measured(lambda key=key: timed(key), device)
            times[key].append(took)
            memory[key] = max(memory[key], peak_bytes)
    computed = tokens_to_compute(engine, prompts, task.cell.max_new_tokens or 0)
    # Two operations a weight and token; the embedding is a look-up, and few logits are computed.
    weights = sum(weight.numel() for weight in loaded.model.parameters())
    flops = 2 * (weights - loaded.model.get_input_embeddings().weight.numel())
    rows = []
    for key, taken in times.items():
        pairs = list(zip(taken, times[ENGINE], strict=True))
        middle = statistics.median(clock.wall for clock in taken)
        reference = results[ENGINE]
        if task.cell.name.startswith("mnli") and key.startswith("harness"):
            reference = whole_label_results(engine, task)
        same = [one == other for one, other in
                zip(results[key].predicted, reference.predicted, strict=True)]  # fmt: skip
        rows.append(
            {
                "task": task.cell.dataset,
                "contestant": key,
                "examples": len(task.examples),
                "mean_prompt_tokens": sum(len(p.context) for p in prompts) / len(prompts),
                "truncated": sum(p.truncated for p in prompts),
                "tokens_that_must_be_computed": computed,
                "seconds": [round(clock.wall, 3) for clock in taken],
                "cpu_seconds": [round(clock.cpu, 3) for clock in taken],
                "peak_memory_bytes": memory[key],
                "examples_per_second": len(task.examples) / middle,
                "same_predictions": sum(same) / len(same),
                "largest_deviation": deviation(reference, results[key]),
                "share_of_matrix_flops": (
                    flops * computed / middle / peak if key == ENGINE else None
                ),
                "share_of_roofline": (
                    flops * computed / middle / ROOFLINE_FLOPS
                    if key == ENGINE and device.type == "cuda" else None
                ),
                "engine_is_faster_by": statistics.median(
                    theirs.wall / ours.wall for theirs, ours in pairs
                ),
                "engine_is_faster_by_cpu_time": statistics.median(
                    theirs.cpu / ours.cpu for theirs, ours in pairs
                ),
            }
        )  # fmt: skip
    return rows


def tokens_to_compute(engine: Engine, prompts: list[Prompt], new_tokens: int) -> int:
    """Tokens that no sharing can spare: each prefix once, the rest of every row, new tokens."""
    total = 0
    for prefix, members in engine.groups(prompts):
        total += len(prefix)
        for number in members:
            prompt = prompts[number]
            total += len(prompt.context) - len(prefix) + new_tokens
            total += sum(len(branch) - 1 for branch in prompt.branches)
    return total


def print_rows(rows: list[dict]) -> None:
    """The results of one task as a table."""
    first = rows[0]
    head = f"{first['task']}, {first['mean_prompt_tokens']:.0f} tokens a prompt"
    columns = ("examples/s", "same answers", "deviation", "memory", "ratio", "by CPU time")
    print(f"\n{head:<30}" + "".join(f"{name:>13}" for name in columns))
    for row in rows:
        away = row["largest_deviation"]
        cells = (
            f"{row['examples_per_second']:.2f}",
            f"{row['same_predictions']:.1%}",
            "" if away is None else f"{away:.1e}",
            f"{row['peak_memory_bytes'] / 2**20:.0f} MB",
            f"{row['engine_is_faster_by']:.2f}x",
            f"{row['engine_is_faster_by_cpu_time']:.2f}x",
        )
        print(f"  {row['contestant']:<28}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shared = Path(os.environ.get("PTFT_SHARED", REPOSITORY.parent / "shared"))
    parser.add_argument("--shared", type=Path, default=shared, help="real texts and tokenizer")
    parser.add_argument("--tasks", nargs="+", default=list(ROWS["cpu"]), choices=list(ROWS["cpu"]))
    parser.add_argument("--rows", type=int, help="examples a task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="JSON (default: benchmarks/results)")
    arguments = parser.parse_args(argv)
    for name in ("transformers", "lm_eval"):
        logging.getLogger(name).setLevel(logging.ERROR)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = new_model(device, "sdpa").to(torch.bfloat16 if device.type == "cuda" else torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(arguments.shared / "hub/models/allenai/OLMo-1B-hf")
    loaded = wrap_model(model, tokenizer)
    peak = matrix_flops(device)
    about = machine(device)
    print(f"{about}\nmatrix product: {peak / 1e9:,.0f} GFLOP/s")
    output = arguments.output or REPOSITORY / f"benchmarks/results/evaluation-{device.type}.json"
    tasks = json.loads(output.read_text())["tasks"] if output.exists() else {}
    result = {"shots": SHOTS, "tasks": tasks}
    if device.type == "cpu":
        result["not_measured"] = "OLMo-1B's shape in bfloat16 on a CUDA device: none was at hand"
    for name in arguments.tasks:
        task = read_task(name, arguments.shared, arguments.rows or ROWS[device.type][name])
        rows = measure_task(task, loaded, arguments.rounds, peak)
        print_rows(rows)
        tasks[name] = {"machine": about, "matrix_gflops": peak / 1e9, "rows": rows}
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1) + "\n")
    if device.type == "cpu":
        print(f"\nNot measured: {result['not_measured']}.")


if __name__ == "__main__":
    sys.exit(main())

"""The paper in numbers (Sun & Dredze, arXiv 2408.06663v5); compared with from here."""

_EARLIER = ["step1000", "step18000", "step342000", "step424000", "step505000", "step592000"]
# Model -> its checkpoints and settings; a task's own settings come last.
GRIDS = {
    "olmo-1b": {
        "checkpoints": [*_EARLIER, "step738000", "main"],
        "tasks": ["mnli", "paws", "xsum", "socialiqa", "tulu"],
        "settings": {
            "full": {"epochs": 3, "batch_size": 8, "lr": 2e-6},
            "instruct": {"epochs": 5, "batch_size": 8, "lr": 2e-6},
        },
        "task_settings": {"xsum": {"lr": 2e-7}},
    },
    "llama3-8b": {
        "checkpoints": ["main"],
        "tasks": ["mnli", "paws", "xsum", "socialiqa"],
        "settings": {"full": {"epochs": 2, "batch_size": 16, "lr": 5e-6}},
        "task_settings": {},
    },
}
EXAMPLES, SHOTS, RESAMPLES = 6000, [4], 3000
HIDDEN = ("qqp", "stsb")
"""datasets whose test labels are hidden; the paper scored them there"""
GPU_HOURS = {"finetune_model": 28.0, "evaluate_model": 249.0}
"""A100-hours of the supervised grid of OLMo-1B (appendix): 8 checkpoints, 4 tasks, micro-batches
and evaluation batches of one example"""

"""ptft: how pre-training shapes fine-tuning. The library behind the workflow, a module a concern."""

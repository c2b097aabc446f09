"""ptft: how pre-training shapes fine-tuning; the library behind the workflow, by concern."""

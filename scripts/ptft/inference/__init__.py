"""The engine: one model, many prompts; log-likelihoods and greedy texts."""

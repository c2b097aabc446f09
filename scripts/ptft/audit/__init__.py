"""The audit: what is in the data and prompts of a study, before anything is trained on them."""

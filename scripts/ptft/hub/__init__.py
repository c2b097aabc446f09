"""Checkpoints and datasets from the Hugging Face Hub.

A name in a study is *resolved* to a pin (repository, commit, files with their hashes), which is
*fetched* into a folder. The pin is kept, so that the next run reads the same bytes.
"""

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HF_TOKEN_PATH")
"""environment variables that open gated repositories"""

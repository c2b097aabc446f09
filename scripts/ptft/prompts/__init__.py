"""From prepared examples to token ids, the same for training and evaluation."""

"""Evaluation: the cells that are asked of a model, their scores, the store of finished ones."""

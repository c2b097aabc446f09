"""Evaluation: one engine for label scoring, multiple choice and generation.

``model`` loads a checkpoint, ``encoding`` turns examples into token trees that fit the context,
``engine`` runs the model over them with a shared prefix, ``generation`` decodes greedily,
``cells`` puts these together for one (dataset, format, shots). Standard library, torch,
transformers and numpy only, so that the package also runs alone on a GPU machine.
"""

"""Fine-tuning: exact, resumable and fast on short tasks. A module a concern.

``settings`` what can be chosen · ``examples`` tokens and which of them are learned ·
``batches`` order and micro-batches · ``packing`` padding-free tensors · ``attention`` over packed
sequences · ``schedule`` learning rate · ``state`` resume · ``curve`` learning curve · ``loop`` the
updates · ``run`` one fine-tuning from files to a finished model folder.

Imports only the standard library, torch, transformers and numpy (pyarrow to write the
curve), so that it runs alone on a GPU machine. This file and ``settings`` import no torch.
"""

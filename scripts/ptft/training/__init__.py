"""Fine-tuning: exact, resumable and fast on short tasks. One module per concern.

``settings`` what can be chosen · ``request`` what a job is asked for · ``examples`` tokens and
which of them are learned · ``replay`` those of another dataset · ``data`` all of a run's ·
``batches`` order and micro-batches · ``packing`` padding-free tensors · ``attention`` over packed
sequences · ``loss`` of learned tokens · ``reference`` the checkpoint's predictions · ``l2sp`` its
weights' · ``blocks`` what is frozen · ``gradients`` of an update · ``schedule`` learning rate ·
``early_stopping`` · ``snapshots`` and ``state`` resume · ``curve`` learning curve · ``loop`` the
updates · ``predictors`` how far the model went · ``summary`` what it took · ``job`` one fine-tuning
from files to a finished model folder.

Imports only the standard library, torch, transformers and numpy (pyarrow to write the
curve), so that it runs alone on a GPU machine. This file and ``settings`` import no torch.
"""

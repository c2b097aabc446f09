"""Fine-tuning: exact, resumable and fast on short tasks.

``settings`` keys of a study · ``methods`` full, LoRA, instruction tuning · ``remedies`` against
forgetting · ``examples`` tokens, their order, micro-batches · ``packing`` padding-free rows and
attention over them · ``losses`` · ``gradients`` of an update, and the memory that they take ·
``optimizer`` schedule and AdamW · ``updates`` ways to the same updates · ``devices`` one or more ·
``state`` resume · ``loop`` the updates of a run · ``records`` beside a model · ``job`` one
fine-tuning, from files to a finished model folder.

``settings``, ``methods`` and ``records`` import no torch: the study and the analysis read them.
"""

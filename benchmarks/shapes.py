"""The shapes of the models that are measured, with random weights."""

SMALL = {
    "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8,
    "num_attention_heads": 4,
}  # fmt: skip
OLMO_1B = {
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 16,
}  # fmt: skip
PYTHIA_410M = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16,
}  # fmt: skip
TINY = {
    "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2,
    "num_attention_heads": 4,
}  # fmt: skip
VOCABULARY = 50304
EOS, PAD = 50279, 1

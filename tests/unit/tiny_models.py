"""A tokenizer and a random model, small enough to be made anew in every test session."""

import random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import OlmoConfig, OlmoForCausalLM, PreTrainedTokenizerFast

EOS, PAD = "<|endoftext|>", "<|padding|>"


def sentences(count: int, words: int, seed: int = 0) -> list[str]:
    """Sentences of made-up words, of one word to ``words`` words each."""
    rng = random.Random(seed)
    syllables = [first + last for first in "bdfgklmnprst" for last in "aeiou"]
    lexicon = ["".join(rng.choices(syllables, k=rng.randint(1, 3))) for _ in range(200)]
    return [" ".join(rng.choices(lexicon, k=rng.randint(1, words))) for _ in range(count)]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE of 600 tokens, trained on made-up sentences and a few label words."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([f"{text} yes no maybe" for text in sentences(300, 12)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token=EOS, pad_token=PAD)


def tiny_olmo(
    vocabulary: int, context: int = 256, seed: int = 0, width: int = 32, tied: bool = True
) -> OlmoForCausalLM:
    """A random OLMo of two layers whose predictions differ clearly from token to token."""
    torch.manual_seed(seed)
    config = OlmoConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
        tie_word_embeddings=tied,
        initializer_range=0.3,
    )
    return OlmoForCausalLM(config).eval()


def tie(model, context: list[int], first: int, second: int):
    """Give a bf16 model a head whose logits of two tokens behind a context are 10 and 10.01."""
    with torch.inference_mode():
        hidden = model.model(torch.tensor([context])).last_hidden_state[0, -1]
    direction = 10 * hidden / hidden.float().square().sum()
    place = (hidden.abs() - 1).abs().argmin()
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[first] = direction
        model.lm_head.weight[second] = direction
        model.lm_head.weight[second, place] += 0.01 / hidden[place]
    return model

"""A tiny Qwen3-VL with random weights.

It has the architecture, the control tokens, the kind of tokenizer and the processor settings of
Qwen/Qwen3-VL-8B-Thinking, so vLLM loads it through the same code; what it says is noise.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
PLAIN_TOKENS = ("<think>", "</think>")
"""Single tokens, too, but kept when text is decoded without special tokens."""

HIDDEN = 64
HEAD_SIZE = 32
"""The smallest that vLLM's attention on CPU accepts."""

CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}
{{- message.content }}
{%- else %}
{%- for part in message.content %}
{%- if part.type == 'text' %}
{{- part.text }}
{%- else %}
{{- '<|vision_start|><|' + part.type + '_pad|><|vision_end|>' }}
{%- endif %}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n<think>\\n' }}
{%- endif %}
"""
_LESSONS = (
    'The person looks calm, then smiles. {"story": "", "emotion": "happy"} <1.5 seconds>',
    "Tell how the emotion changes in this clip: angry disgust fear happy sad surprise neutral",
)


def write_checkpoint(folder: Path, seed: int = 0) -> None:
    """Write the checkpoint, 1.5 MB."""
    import torch
    from transformers import Qwen3VLForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    ids = _write_tokenizer(folder)
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(_configuration(ids)).to(torch.bfloat16)
    model.generation_config.update(
        do_sample=True,
        temperature=1.0,
        top_p=0.95,
        top_k=20,
        eos_token_id=[ids["<|im_end|>"], ids["<|endoftext|>"]],
        pad_token_id=ids["<|endoftext|>"],
    )
    model.save_pretrained(folder)
    _write_processors(folder)


def _write_tokenizer(folder: Path) -> dict[str, int]:
    """Write a byte-level BPE tokenizer and return the id of every token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_LESSONS * 4, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in PLAIN_TOKENS])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=32768,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
    fast.save_pretrained(folder)
    # The classes that the processor of Qwen3-VL asks for.
    classes = {"tokenizer_class": "Qwen2Tokenizer", "processor_class": "Qwen3VLProcessor"}
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **classes}, indent=1))
    model = json.loads(tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    return dict(tokenizer.get_vocab())


def _configuration(ids: dict[str, int]) -> Any:
    from transformers import Qwen3VLConfig

    text = {
        "vocab_size": -(-len(ids) // 64) * 64,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": HEAD_SIZE,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 5_000_000,
        # Interleaved rotary sections of time, height and width; their sum is half a head.
        "rope_scaling": {
            "rope_type": "default",
            "mrope_interleaved": True,
            "mrope_section": [6, 5, 5],
        },
        "dtype": "bfloat16",
        "tie_word_embeddings": False,
        "eos_token_id": ids["<|im_end|>"],
    }
    vision = {
        "depth": 3,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_heads": 2,
        "patch_size": 16,
        "temporal_patch_size": 2,
        "spatial_merge_size": 2,
        "out_hidden_size": HIDDEN,
        "num_position_embeddings": 256,
        "deepstack_visual_indexes": [0, 1],
    }
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )


def _write_processors(folder: Path) -> None:
    """Write how pictures become patches: the published model's values."""
    common = {
        "processor_class": "Qwen3VLProcessor",
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    image = {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "size": {"shortest_edge": 65536, "longest_edge": 16777216},
    }
    video = {
        "video_processor_type": "Qwen3VLVideoProcessor",
        "size": {"shortest_edge": 4096, "longest_edge": 25165824},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps({**common, **image}, indent=1))
    (folder / "video_preprocessor_config.json").write_text(
        json.dumps({**common, **video}, indent=1)
    )

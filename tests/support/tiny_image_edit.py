"""A tiny Qwen-Image-Edit.

Random weights in the architecture and the file layout of Qwen/Qwen-Image-Edit-2511, so that the
engine loads it through the same code; its pictures are noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.tiny_qwen_vl import SPECIAL_TOKENS

LORA = "lightning.safetensors"
HIDDEN = 16


def write_checkpoint(folder: Path, seed: int = 0) -> None:
    """Write the checkpoint (3 MB) and a LoRA for it, `lightning.safetensors`.

    diffusers and torchvision must be importable, see export.tryon.libraries.
    """
    import torch
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImageEditPlusPipeline,
        QwenImageTransformer2DModel,
    )

    torch.manual_seed(seed)
    tokenizer, ids = _tokenizer()
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=64,
        out_channels=16,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=HIDDEN,
        axes_dims_rope=(8, 4, 4),
        zero_cond_t=True,
    )
    vae = AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 16,
        latents_std=[1.0] * 16,
    )
    pipeline = QwenImageEditPlusPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=_text_encoder(len(tokenizer), ids),
        tokenizer=tokenizer,
        processor=_processor(tokenizer),
        transformer=transformer,
    )
    pipeline.save_pretrained(folder)
    _write_lora(folder / LORA, transformer)


def _tokenizer() -> tuple[Any, dict[str, int]]:
    """Return a tokenizer of single bytes and the control tokens, and the ids of these."""
    from tokenizers import pre_tokenizers
    from transformers import Qwen2Tokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: place for place, letter in enumerate(letters)}
    vocabulary[SPECIAL_TOKENS[0]] = len(vocabulary)
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL_TOKENS[1:])})
    return tokenizer, {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}


def _text_encoder(tokens: int, ids: dict[str, int]) -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {
        "vocab_size": tokens,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "mrope_section": [1, 1, 2],
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
        },
    }
    vision = {
        "depth": 2,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_heads": 2,
        "out_hidden_size": HIDDEN,
        "fullatt_block_indexes": [1],
    }
    configuration = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        vision_token_id=ids["<|vision_pad|>"],
    )
    return Qwen2_5_VLForConditionalGeneration(configuration)


def _processor(tokenizer: Any) -> Any:
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    # 28 pixels: two patches of 14 are one token.
    size = {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 256}
    return Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
    )


def _write_lora(file: Path, transformer: Any) -> None:
    """Return a LoRA of rank 2 for the attention, in the names that published ones have."""
    import torch
    from safetensors.torch import save_file

    weights = {}
    for name, module in transformer.named_modules():
        if name.endswith(("attn.to_q", "attn.to_k", "attn.to_v")):
            out, into = module.weight.shape
            weights[f"transformer.{name}.lora_A.weight"] = torch.randn(2, into) * 0.3
            weights[f"transformer.{name}.lora_B.weight"] = torch.randn(out, 2) * 0.3
    save_file(weights, file)

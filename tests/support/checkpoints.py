"""Small randomly initialised checkpoints of the architectures that exports must carry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export.samples import varied_texts

SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
_SHAPE: dict[str, Any] = {
    "vocab_size": 600,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "initializer_range": 0.3,  # not the usual 0.02: layers must differ to tell them apart
}
# As microsoft/deberta-xlarge-mnli and microsoft/deberta-v2-xlarge-mnli in all but size.
_RELATIVE: dict[str, Any] = {
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pos_att_type": ["c2p", "p2c"],
}
_V2: dict[str, Any] = {
    "position_buckets": 32,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "conv_kernel_size": 3,
    "conv_act": "gelu",
}


def write_checkpoint(folder: Path, architecture: str, **config: Any) -> Path:
    """Writes a checkpoint of 4 layers with a byte-level BPE tokenizer of no usable maximum.

    Args:
        folder: Created.
        architecture: bert, deberta or deberta-v2.
        config: Further members of its configuration.
    """
    import torch
    from transformers import (
        BertConfig,
        BertModel,
        DebertaConfig,
        DebertaModel,
        DebertaV2Config,
        DebertaV2Model,
    )

    torch.manual_seed(0)
    shape = {**_SHAPE, **config}
    model = {
        "bert": lambda: BertModel(BertConfig(**shape)),
        "deberta": lambda: DebertaModel(DebertaConfig(**shape, **_RELATIVE)),
        "deberta-v2": lambda: DebertaV2Model(DebertaV2Config(**shape, **_RELATIVE, **_V2)),
    }[architecture]()
    model.save_pretrained(folder)
    small_tokenizer().save_pretrained(folder)
    return folder


def write_sentence_transformer(
    folder: Path, *, prompts: dict[str, str], default_prompt_name: str | None = None
) -> Path:
    """Writes a model of sentence-transformers: the first token's state, at unit length.

    Its checkpoint declares vectors of 16 and 32 of the 64 components.

    Args:
        folder: Created.
        prompts: By name.
        default_prompt_name: Of the one used where none is named.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    encoder = folder.with_name(f"{folder.name}-encoder")
    write_checkpoint(encoder, "bert", matryoshka_dimensions=[32, 16])
    modules = [Transformer(str(encoder), max_seq_length=48), Pooling(64, "cls"), Normalize()]
    model = SentenceTransformer(
        modules=modules, prompts=prompts, default_prompt_name=default_prompt_name, device="cpu"
    )
    model.save(str(folder))
    return folder


def write_cross_encoder(folder: Path, architecture: str, **config: Any) -> Path:
    """Writes a sequence classifier of one label, and its tokenizer.

    Args:
        folder: Created.
        architecture: bert, which is told which token is of which text, or roberta, which is not.
        config: Further members of its configuration.
    """
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    torch.manual_seed(0)
    shape = {**_SHAPE, "num_labels": 1, **config}
    if architecture == "bert":
        model = BertForSequenceClassification(BertConfig(**shape))
    else:
        shape |= {"type_vocab_size": 1, "max_position_embeddings": 514}  # two for padding
        model = RobertaForSequenceClassification(RobertaConfig(**shape))
    model.save_pretrained(folder)
    small_tokenizer(types=architecture == "bert").save_pretrained(folder)
    return folder


def small_tokenizer(*, types: bool = False) -> Any:
    """Return a byte-level BPE tokenizer of 600 tokens, with BERT's specials.

    Args:
        types: Whether it tells which token is of which text of a pair.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=_SHAPE["vocab_size"],
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(varied_texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
        model_input_names=["input_ids", *(["token_type_ids"] if types else []), "attention_mask"],
    )

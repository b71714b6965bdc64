"""What is fused behind an encoder, as torch modules."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn


class _Headed(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.takes_types = "token_type_ids" in inspect.signature(encoder.forward).parameters

    def hidden_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        extra = {"token_type_ids": torch.zeros_like(input_ids)} if self.takes_types else {}
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **extra)
        states: Tensor = output.last_hidden_state
        return states


class SentenceHead(_Headed):
    """Sentence vectors as sentence-transformers' Pooling and Normalize make them.

    Inputs INT64 [batch, length]; output FP32 [batch, hidden].

    Args:
        encoder: Gives the tokens' states.
        pooling: `mean` over the unmasked tokens, or `cls`, the first one's state.
        normalized: Whether vectors get unit length.
    """

    def __init__(self, encoder: Any, *, pooling: str = "mean", normalized: bool = True) -> None:
        super().__init__(encoder)
        self.pooling = pooling
        self.normalized = normalized

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embeddings of a padded batch."""
        states = self.hidden_states(input_ids, attention_mask)
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            weights = attention_mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(pooled, dim=1) if self.normalized else pooled


class TokenHead(_Headed):
    """Each token's state at unit length, as bert-score divides by the norm before matching.

    Inputs INT64 [batch, length]; output FP32 [batch, length, hidden].
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Normalised hidden states of a padded batch; those of padding mean nothing."""
        states = self.hidden_states(input_ids, attention_mask)
        # No lower bound on the norm in bert-score; padding of DeBERTa may be all zeros, though,
        # and 0/0 there would only put NaN into rows that the matcher has to skip anyway.
        return states / states.norm(dim=-1, keepdim=True).clamp(min=1e-12)


class PairHead(nn.Module):  # type: ignore[misc]  # torch's types are not followed
    """A sequence classifier of one label, which reads two texts at once.

    Inputs INT64 [batch, length]; output FP32 [batch, 1].

    Args:
        encoder: The classifier.
        takes_types: Whether it is told which token is of which text.
    """

    def __init__(self, encoder: Any, *, takes_types: bool) -> None:
        super().__init__()
        self.encoder = encoder
        known = "token_type_ids" in inspect.signature(encoder.forward).parameters
        self.takes_types = takes_types and known

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Logits of a padded batch."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self.takes_types:
            return self.encoder(**inputs, token_type_ids=token_type_ids).logits
        # All graphs have the same inputs, so that one configuration serves them.
        return self.encoder(**inputs).logits + 0.0 * token_type_ids[:, :1]

"""The text service: BERTScore and embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.settings.base import Section, ServiceSection
from gateway.settings.keys import ClientKey


class TextModel(Section):
    """One entry of a catalogue: a name clients may ask for and the Triton models behind it."""

    triton_model: str
    """Triton model that answers."""
    encoder: str
    """Triton model that runs the network for it; loaded first."""
    aliases: list[str] = []
    """Other names accepted for it; the response names the model that really ran."""
    languages: list[str] = ["en"]
    """Languages it is meant for (BERTScore's `lang`); `*` for any."""
    prompts: dict[str, str] = {}
    """Embeddings: text in front of every text, by name; beside those of the checkpoint."""
    dimensions: list[Annotated[int, Field(ge=1)]] = []
    """Embeddings: lengths that vectors may be cut to; empty: those that the checkpoint declares."""


def _embed_models() -> dict[str, TextModel]:
    entry = TextModel(
        triton_model="text_embedding",
        encoder="sentence_encoder",
        aliases=["sentence-transformers/all-MiniLM-L6-v2"],
    )
    return {"all-MiniLM-L6-v2": entry}


def _bertscore_models() -> dict[str, TextModel]:
    entry = TextModel(
        triton_model="bertscore",
        encoder="token_encoder",
        # The old server's hard-coded default stays a valid name where its weights are not had.
        aliases=["microsoft/deberta-xlarge-mnli"],
    )
    return {"all-MiniLM-L6-v2": entry}


def _names(catalogue: dict[str, TextModel]) -> list[str]:
    """Return every name and alias."""
    return [name for key, entry in catalogue.items() for name in (key, *entry.aliases)]


class TextSettings(ServiceSection):
    """The text API (`/text` on the main port)."""

    port: int | None = Field(8765, ge=1, le=65535)
    """The old server's port with its root paths; null: not served."""
    api_key: ClientKey | None = None
    """Key of this service, at least 8 characters; environment `API_KEY`, where empty is none."""
    device: Literal["auto", "cpu", "cuda"] | str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$"
    )
    """Where Triton runs the encoders; environment `TORCH_DEVICE`. `auto`: as their config says."""
    max_concurrent: int = Field(64, ge=1)
    """Requests in work at once; environment `GPU_MAX_CONCURRENT`. Triton batches across them."""
    max_waiting: int = Field(64, ge=0)
    """Requests that may wait for a slot; the next one is answered 503 at once."""
    slot_wait_seconds: float = Field(1.0, ge=0)
    """Longest wait for a slot before 503, as the old server."""
    deadline_seconds: float = Field(45, gt=0)
    """Longest time for one request (504 beyond); the old client gives up after 45 s."""
    max_batch_size: int = Field(100, ge=1)
    """Most texts or pairs in a request (422 beyond); environment `GPU_MAX_BATCH_SIZE`."""
    max_text_length: int = Field(10_000, ge=1)
    """Most characters (code points) in a text; environment `GPU_MAX_TEXT_LENGTH`."""
    embed_chunk: int = Field(32, ge=1, le=128)
    """Texts sent to Triton at a time from one request; environment `GPU_EMBED_BATCH`."""
    chunks_in_flight: int = Field(4, ge=1)
    """Chunks of one request in Triton at once."""
    calls_before_joining: int = Field(4, ge=1)
    """Texts in work, of late, up to which every small request is a call of its own; of more, those
    that are there travel together."""
    embed_cache_bytes: int = Field(0, ge=0)
    """Memory for vectors of texts that have been embedded before, over all processes; 0: none."""
    max_body_bytes: int = Field(16 * 2**20, ge=1024)
    """Largest request body in bytes."""
    embed_model: str = "all-MiniLM-L6-v2"
    """Model of a request that names none; environment `MODEL_EMBED`."""
    bertscore_model: str = "microsoft/deberta-xlarge-mnli"
    """Model of a request that names none; environment `MODEL_BERTSCORE`."""
    embed_models: dict[str, TextModel] = Field(default_factory=_embed_models)
    """Catalogue of embedding models by name."""
    bertscore_models: dict[str, TextModel] = Field(default_factory=_bertscore_models)
    """Catalogue of BERTScore encoders by name."""
    rerank_model: str = ""
    """Model of a request to rank or score that names none; empty: `embed_model`, by cosine."""
    rerank_models: dict[str, TextModel] = Field(default_factory=dict)
    """Catalogue of cross-encoders by name, for `/v1/rerank` and `/v1/score`; none comes along."""

    @model_validator(mode="after")
    def _defaults_are_in_the_catalogue(self) -> TextSettings:
        embed, rerank = _names(self.embed_models), _names(self.rerank_models)
        for field, names in (
            ("embed_model", embed),
            ("bertscore_model", _names(self.bertscore_models)),
            ("rerank_model", ["", *rerank, *embed]),
        ):
            if getattr(self, field) not in names:
                known = sorted(filter(None, names))
                raise ValueError(f"{field} is not in the catalogue; it has {known}")
        if twice := sorted(set(embed) & set(rerank)):
            raise ValueError(f"rerank_models and embed_models both have {twice}")
        return self

    @property
    def _entries(self) -> Iterator[TextModel]:
        for catalogue in (self.embed_models, self.bertscore_models, self.rerank_models):
            yield from catalogue.values()

    def called_networks(self) -> Iterator[tuple[str, str]]:
        """Yield the encoders with the models of the catalogues that call them."""
        yield from ((entry.encoder, entry.triton_model) for entry in self._entries)

    def forced_devices(self) -> dict[str, str]:
        """Return where `device` places the encoders."""
        return {} if self.device == "auto" else {e.encoder: self.device for e in self._entries}

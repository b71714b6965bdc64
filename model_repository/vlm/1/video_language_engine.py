"""vLLM's asynchronous engine, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import sys
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

import engine_kernels
from answer_text import AnswerText
from conversation import Conversation
from vlm_request import Options, RefusedRequestError, video_item, without_control_tokens

REQUESTS_SECONDS = 5
"""What cancelled requests get to answer on unload."""
PROCESSES_SECONDS = 2
"""What the engine's processes get to end by themselves; they have nothing to lose."""


class EngineDeadError(RuntimeError):
    """The engine's processes have died; only loading the model again helps."""


@dataclass(frozen=True)
class Usage:
    """Tokens of a request; those of thinking are contained in those of the completion."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int


@dataclass(frozen=True)
class Answer:
    """What was generated.

    Attributes:
        text: Without the thinking.
        finish_reason: "stop", or "length" when a limit cut it off.
        usage: As a dictionary, see Usage.
        reasoning: The thinking.
    """

    text: str
    finish_reason: str
    usage: dict[str, int]
    reasoning: str = ""


OnPiece = Callable[[str, str], None]
"""Gets what has been generated of the thinking and of the answer."""


class VideoLanguageEngine:
    """One vLLM engine; its methods are called from outside its thread unless they say otherwise."""

    def __init__(self, arguments: Mapping[str, Any], on_load: Callable[[int, int], None]) -> None:
        """Nothing runs yet.

        Args:
            arguments: Of vLLM's AsyncEngineArgs, as a dictionary.
            on_load: Called in the engine's thread with the number of requests that generate and
                that wait, whenever the engine reports them.
        """
        self._arguments = arguments
        self._on_load = on_load
        self._engine: Any = None
        self._started: Future[None] = Future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._step = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name="vllm", daemon=True
        )

    def start(self, seconds: float) -> None:
        """Blocks until the weights are loaded.

        Raises:
            RuntimeError: vLLM did not start within `seconds`; it waits for its workers forever.
        """
        self._thread.start()
        try:
            self._started.result(seconds)
        except FutureTimeoutError:  # another class before Python 3.11
            raise RuntimeError(f"vLLM did not start within {seconds} s") from None

    @property
    def dead(self) -> bool:
        """Whether the engine's processes have died."""
        return self._engine is None or bool(self._engine.errored)

    @property
    def device(self) -> str:
        """Name of the accelerator, or "cpu"."""
        from vllm.platforms import current_platform

        return str(current_platform.get_device_name())

    @property
    def version(self) -> str:
        """Such as "vllm 0.32.0"."""
        import vllm

        return f"vllm {vllm.__version__.partition('+')[0]}"

    @property
    def context(self) -> int:
        """Most tokens of a prompt and what is generated."""
        return int(self._engine.model_config.max_model_len)

    def event(self) -> asyncio.Event:
        """Return an asyncio.Event to be set with `set_event`."""
        return asyncio.Event()

    def set_event(self, event: asyncio.Event) -> None:
        """Set an event of the engine's loop from any thread."""
        self._loop.call_soon_threadsafe(event.set)

    def submit(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine in the engine's loop. It must handle its own errors."""
        self._loop.call_soon_threadsafe(self._adopt, coroutine)

    def stop(self) -> None:
        """Cancel what runs and end the engine."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(2 * (REQUESTS_SECONDS + PROCESSES_SECONDS))

    async def generate(
        self, conversation: Conversation, options: Options, on_piece: OnPiece | None = None
    ) -> Answer:
        """Generate an answer; in the engine's loop. Cancelling it aborts the request.

        Args:
            conversation: What is asked.
            options: Options.
            on_piece: Called while it is generated, if somebody wants to know.

        Returns:
            Answer; the pieces together are its texts.

        Raises:
            EngineDeadError: The engine is dead or dies meanwhile.
            RefusedRequestError: vLLM refuses the request.
            RuntimeError: The generation failed.
        """
        from vllm.exceptions import VLLMClientError

        if self.dead:
            raise EngineDeadError
        try:
            inputs = await self._render(conversation)
            return await self._answer(inputs, options, on_piece)
        except RefusedRequestError:
            raise
        except (VLLMClientError, ValueError) as error:
            if getattr(error, "parameter", None) == "input_tokens":
                raise RefusedRequestError("prompt_too_long", self._longest()) from None
            # Its text can quote the prompt.
            raise RefusedRequestError("request_invalid", type(error).__name__) from None
        except Exception as error:
            if self.dead:
                raise EngineDeadError from None
            raise RuntimeError(f"generation failed: {type(error).__name__}") from None

    async def alive(self, generation: Coroutine[Any, Any, Answer]) -> Answer | None:
        """Wait for a generation, or until the engine has made a step for anybody; in its loop.

        Who waits behind long answers learns nothing of the engine from waiting.

        Returns:
            The answer, or None after a step; the generation is cancelled then.

        Raises:
            Exception: As `generate`.
        """
        own = asyncio.ensure_future(generation)
        step = asyncio.ensure_future(self._step.wait())
        try:
            await asyncio.wait([own, step], return_when=asyncio.FIRST_COMPLETED)
            return own.result() if own.done() else None
        finally:
            own.cancel()
            step.cancel()
            await asyncio.gather(own, step, return_exceptions=True)

    async def _main(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
            self._stopping = asyncio.Event()
            self._load()
        except BaseException as error:  # vLLM also exits
            self._started.set_exception(RuntimeError(f"vLLM did not start: {error}"))
            return
        self._started.set_result(None)
        try:
            await self._stopping.wait()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=REQUESTS_SECONDS)
        finally:
            self._engine.shutdown(timeout=PROCESSES_SECONDS)
            self._engine = None  # its destructor fails when it runs at the interpreter's end

    def _load(self) -> None:
        from vllm.config import StructuredOutputsConfig
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.renderers.hf import resolve_chat_template
        from vllm.v1.engine.async_llm import AsyncLLM

        arguments = AsyncEngineArgs(
            **_for_this_gpu(self._arguments),
            # Blanks between JSON's parts are never wanted, and weak models loop on them.
            structured_outputs_config=StructuredOutputsConfig(
                backend="xgrammar", disable_any_whitespace=True
            ),
        )
        self._engine = AsyncLLM.from_engine_args(arguments, stat_loggers=[self._load_logger()])
        config = self._engine.model_config
        self._tokenizer = self._engine.get_tokenizer()
        self._template = resolve_chat_template(self._tokenizer, None, None, model_config=config)
        self._control_tokens = self._tokenizer.get_added_vocab()
        self._control_ids = frozenset(self._control_tokens.values())
        self._defaults = config.get_diff_sampling_param()
        reasoning = self._engine.vllm_config.reasoning_config
        ends = reasoning.reasoning_end_token_ids if reasoning else None
        self._end_of_thinking = ends[-1] if ends else None

    def _load_logger(self) -> Any:
        """Class whose instances vLLM tells its state after every step."""
        from vllm.v1.metrics.loggers import StatLoggerBase

        stepped = self._stepped

        class LoadLogger(StatLoggerBase):  # type: ignore[misc]  # vLLM is not in this environment
            def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
                pass

            def record(self, scheduler_stats: Any, *_: Any, **__: Any) -> None:
                if (stats := scheduler_stats) is not None:
                    # Skipped are those whose schema is being compiled.
                    waiting = stats.num_waiting_reqs + stats.num_skipped_waiting_reqs
                    stepped(stats.num_running_reqs, waiting)

            def log_engine_initialized(self) -> None:
                pass

        return LoadLogger

    def _stepped(self, running: int, waiting: int) -> None:
        step, self._step = self._step, asyncio.Event()
        step.set()
        self._on_load(running, waiting)

    def _adopt(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _render(self, conversation: Conversation) -> Any:
        """Tokens and pixels as the engine takes them; computed in vLLM's threads."""
        from vllm.renderers.inputs.preprocess import parse_model_prompt

        text = self._tokenizer.apply_chat_template(
            [self._plain(message) for message in conversation.messages],
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
        )
        media = {
            "video": [video_item(frames, times) for frames, times in conversation.videos],
            "image": conversation.images,
        }
        prompt: dict[str, Any] = {"prompt": text}
        if given := {kind: items for kind, items in media.items() if items}:
            prompt["multi_modal_data"] = given
        parsed = parse_model_prompt(self._engine.model_config, prompt)
        (inputs,) = await self._engine.renderer.render_cmpl_async([parsed])
        if len(inputs["prompt_token_ids"]) >= self.context:
            raise RefusedRequestError("prompt_too_long", self._longest())
        return inputs

    def _longest(self) -> str:
        return f"at most {self.context - 1} tokens"

    def _plain(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return a message whose texts hold no control tokens."""
        content, tokens = message["content"], self._control_tokens
        if isinstance(content, str):
            return {**message, "content": without_control_tokens(content, tokens)}
        parts = [
            {**part, "text": without_control_tokens(part["text"], tokens)}
            if part["type"] == "text"
            else part
            for part in content
        ]
        return {**message, "content": parts}

    def _sampling(self, options: Options, by_piece: bool) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        given = dict(self._defaults)
        thinks = self._end_of_thinking is not None
        for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
            if (value := getattr(options, name)) is not None:
                given[name] = value
        if thinks:
            given["thinking_token_budget"] = options.thinking_budget
        if options.schema is not None:
            given["structured_outputs"] = StructuredOutputsParams(json=options.schema)
        elif options.json:
            given["structured_outputs"] = StructuredOutputsParams(json_object=True)
        # Thinking, the token that ends it, and the answer.
        most = options.max_tokens + (options.thinking_budget + 1 if thinks else 0)
        given["max_tokens"] = min(most, options.max_completion_tokens or most)
        kind = RequestOutputKind.DELTA if by_piece else RequestOutputKind.FINAL_ONLY
        return SamplingParams(**given, seed=options.seed, output_kind=kind)

    async def _answer(self, inputs: Any, options: Options, on_piece: OnPiece | None) -> Answer:
        by_piece = on_piece is not None or bool(options.stop)
        is_json = options.json or options.schema is not None
        text = AnswerText(
            self._tokenizer.decode,
            self._end_of_thinking,
            self._control_ids,
            is_json=is_json,
            stops=options.stop,
        )
        sampling = self._sampling(options, by_piece)
        outputs = self._engine.generate(inputs, sampling, uuid.uuid4().hex)
        pieces: list[tuple[str, str]] = []
        reason, prompt = None, 0
        async with aclosing(outputs):  # what is stopped below goes on otherwise
            async for output in outputs:
                completion = output.outputs[0]
                reason, prompt = completion.finish_reason, len(output.prompt_token_ids)
                piece = text.add(completion.token_ids, last=reason is not None)
                pieces.append(piece)
                if on_piece:
                    on_piece(*piece)
                if text.stopped:
                    reason = "stop"
                    break
        if reason not in ("stop", "length"):
            raise RuntimeError(f"generation ended with {reason}")
        reasoning, answer = ("".join(piece[kind] for piece in pieces) for kind in (0, 1))
        usage = Usage(prompt, text.tokens, text.reasoning_tokens)
        return Answer(answer, reason, asdict(usage), reasoning)


def _for_this_gpu(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments, with kernels that can be compiled here.

    Raises:
        MissingCompilerError: There is a GPU, and nothing to compile its kernels with.
    """
    from vllm.platforms import current_platform

    if not current_platform.is_cuda():
        return arguments
    engine_kernels.check_compiler(sys.executable)
    capability = current_platform.get_device_capability()
    backend = engine_kernels.attention(capability.major) if capability else None
    # An operator's own choice (engine_options) wins, also in its other form.
    if backend is None or "attention_config" in arguments:
        return arguments
    return {"attention_backend": backend, **arguments}

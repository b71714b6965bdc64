from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FrameFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FP32: _ClassVar[FrameFormat]
    FP16: _ClassVar[FrameFormat]
    UINT8: _ClassVar[FrameFormat]

class SampleFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PCM16: _ClassVar[SampleFormat]
    FLOAT32: _ClassVar[SampleFormat]
FP32: FrameFormat
FP16: FrameFormat
UINT8: FrameFormat
PCM16: SampleFormat
FLOAT32: SampleFormat

class InferBatchRequest(_message.Message):
    __slots__ = ("model_id", "visual_frames", "audio_features", "batch_size", "frame_format", "output_format", "input_channels", "audio_per_frame", "output_block", "raw_audio")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    VISUAL_FRAMES_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FEATURES_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    FRAME_FORMAT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    INPUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    AUDIO_PER_FRAME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BLOCK_FIELD_NUMBER: _ClassVar[int]
    RAW_AUDIO_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    visual_frames: bytes
    audio_features: bytes
    batch_size: int
    frame_format: FrameFormat
    output_format: FrameFormat
    input_channels: int
    audio_per_frame: bool
    output_block: bool
    raw_audio: bytes
    def __init__(self, model_id: _Optional[str] = ..., visual_frames: _Optional[bytes] = ..., audio_features: _Optional[bytes] = ..., batch_size: _Optional[int] = ..., frame_format: _Optional[_Union[FrameFormat, str]] = ..., output_format: _Optional[_Union[FrameFormat, str]] = ..., input_channels: _Optional[int] = ..., audio_per_frame: _Optional[bool] = ..., output_block: _Optional[bool] = ..., raw_audio: _Optional[bytes] = ...) -> None: ...

class InferBatchResponse(_message.Message):
    __slots__ = ("outputs", "inference_time_ms", "success", "error", "worker_id", "gpu_id", "output_block", "audio_processing_ms")
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    GPU_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BLOCK_FIELD_NUMBER: _ClassVar[int]
    AUDIO_PROCESSING_MS_FIELD_NUMBER: _ClassVar[int]
    outputs: _containers.RepeatedCompositeFieldContainer[RawMouthRegion]
    inference_time_ms: float
    success: bool
    error: str
    worker_id: int
    gpu_id: int
    output_block: bytes
    audio_processing_ms: float
    def __init__(self, outputs: _Optional[_Iterable[_Union[RawMouthRegion, _Mapping]]] = ..., inference_time_ms: _Optional[float] = ..., success: _Optional[bool] = ..., error: _Optional[str] = ..., worker_id: _Optional[int] = ..., gpu_id: _Optional[int] = ..., output_block: _Optional[bytes] = ..., audio_processing_ms: _Optional[float] = ...) -> None: ...

class RawMouthRegion(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class StreamRequest(_message.Message):
    __slots__ = ("start", "sound", "frames")
    START_FIELD_NUMBER: _ClassVar[int]
    SOUND_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    start: StreamStart
    sound: StreamSound
    frames: StreamFrames
    def __init__(self, start: _Optional[_Union[StreamStart, _Mapping]] = ..., sound: _Optional[_Union[StreamSound, _Mapping]] = ..., frames: _Optional[_Union[StreamFrames, _Mapping]] = ...) -> None: ...

class StreamStart(_message.Message):
    __slots__ = ("model_id", "sample_format", "sample_rate", "frame_format", "output_format", "input_channels", "still", "first_frame", "delay_ms", "drop_late")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_FIELD_NUMBER: _ClassVar[int]
    FRAME_FORMAT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FORMAT_FIELD_NUMBER: _ClassVar[int]
    INPUT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    STILL_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_FIELD_NUMBER: _ClassVar[int]
    DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    DROP_LATE_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    sample_format: SampleFormat
    sample_rate: int
    frame_format: FrameFormat
    output_format: FrameFormat
    input_channels: int
    still: bool
    first_frame: int
    delay_ms: int
    drop_late: bool
    def __init__(self, model_id: _Optional[str] = ..., sample_format: _Optional[_Union[SampleFormat, str]] = ..., sample_rate: _Optional[int] = ..., frame_format: _Optional[_Union[FrameFormat, str]] = ..., output_format: _Optional[_Union[FrameFormat, str]] = ..., input_channels: _Optional[int] = ..., still: _Optional[bool] = ..., first_frame: _Optional[int] = ..., delay_ms: _Optional[int] = ..., drop_late: _Optional[bool] = ...) -> None: ...

class StreamSound(_message.Message):
    __slots__ = ("samples",)
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    samples: bytes
    def __init__(self, samples: _Optional[bytes] = ...) -> None: ...

class StreamFrames(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class StreamResponse(_message.Message):
    __slots__ = ("started", "mouth", "dropped")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    MOUTH_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    started: StreamStarted
    mouth: StreamMouth
    dropped: StreamDropped
    def __init__(self, started: _Optional[_Union[StreamStarted, _Mapping]] = ..., mouth: _Optional[_Union[StreamMouth, _Mapping]] = ..., dropped: _Optional[_Union[StreamDropped, _Mapping]] = ...) -> None: ...

class StreamStarted(_message.Message):
    __slots__ = ("sound_frame", "first_frame")
    SOUND_FRAME_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_FIELD_NUMBER: _ClassVar[int]
    sound_frame: int
    first_frame: int
    def __init__(self, sound_frame: _Optional[int] = ..., first_frame: _Optional[int] = ...) -> None: ...

class StreamMouth(_message.Message):
    __slots__ = ("index", "timestamp_us", "data", "late")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    index: int
    timestamp_us: int
    data: bytes
    late: bool
    def __init__(self, index: _Optional[int] = ..., timestamp_us: _Optional[int] = ..., data: _Optional[bytes] = ..., late: _Optional[bool] = ...) -> None: ...

class StreamDropped(_message.Message):
    __slots__ = ("index", "count")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    index: int
    count: int
    def __init__(self, index: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelInfo]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelInfo, _Mapping]]] = ...) -> None: ...

class LoadModelRequest(_message.Message):
    __slots__ = ("model_id", "force_reload")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    FORCE_RELOAD_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    force_reload: bool
    def __init__(self, model_id: _Optional[str] = ..., force_reload: _Optional[bool] = ...) -> None: ...

class LoadModelResponse(_message.Message):
    __slots__ = ("success", "error", "load_time_ms", "stats")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LOAD_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    load_time_ms: float
    stats: ModelStats
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., load_time_ms: _Optional[float] = ..., stats: _Optional[_Union[ModelStats, _Mapping]] = ...) -> None: ...

class UnloadModelRequest(_message.Message):
    __slots__ = ("model_id",)
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    def __init__(self, model_id: _Optional[str] = ...) -> None: ...

class UnloadModelResponse(_message.Message):
    __slots__ = ("success", "error")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ...) -> None: ...

class GetModelStatsRequest(_message.Message):
    __slots__ = ("model_id",)
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    def __init__(self, model_id: _Optional[str] = ...) -> None: ...

class GetModelStatsResponse(_message.Message):
    __slots__ = ("models", "max_models", "loaded_models", "total_memory_bytes", "max_memory_bytes")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    MAX_MODELS_FIELD_NUMBER: _ClassVar[int]
    LOADED_MODELS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelInfo]
    max_models: int
    loaded_models: int
    total_memory_bytes: int
    max_memory_bytes: int
    def __init__(self, models: _Optional[_Iterable[_Union[ModelInfo, _Mapping]]] = ..., max_models: _Optional[int] = ..., loaded_models: _Optional[int] = ..., total_memory_bytes: _Optional[int] = ..., max_memory_bytes: _Optional[int] = ...) -> None: ...

class HealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HealthResponse(_message.Message):
    __slots__ = ("healthy", "cuda_available", "loaded_models", "max_models", "gpu_count", "version", "gpus")
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    CUDA_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    LOADED_MODELS_FIELD_NUMBER: _ClassVar[int]
    MAX_MODELS_FIELD_NUMBER: _ClassVar[int]
    GPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    healthy: bool
    cuda_available: bool
    loaded_models: int
    max_models: int
    gpu_count: int
    version: str
    gpus: _containers.RepeatedCompositeFieldContainer[GPUInfo]
    def __init__(self, healthy: _Optional[bool] = ..., cuda_available: _Optional[bool] = ..., loaded_models: _Optional[int] = ..., max_models: _Optional[int] = ..., gpu_count: _Optional[int] = ..., version: _Optional[str] = ..., gpus: _Optional[_Iterable[_Union[GPUInfo, _Mapping]]] = ...) -> None: ...

class GPUInfo(_message.Message):
    __slots__ = ("gpu_id", "name", "total_memory_bytes", "used_memory_bytes", "loaded_models")
    GPU_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOADED_MODELS_FIELD_NUMBER: _ClassVar[int]
    gpu_id: int
    name: str
    total_memory_bytes: int
    used_memory_bytes: int
    loaded_models: int
    def __init__(self, gpu_id: _Optional[int] = ..., name: _Optional[str] = ..., total_memory_bytes: _Optional[int] = ..., used_memory_bytes: _Optional[int] = ..., loaded_models: _Optional[int] = ...) -> None: ...

class ModelInfo(_message.Message):
    __slots__ = ("model_id", "loaded", "model_path", "stats", "gpu_id")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    MODEL_PATH_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    GPU_ID_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    loaded: bool
    model_path: str
    stats: ModelStats
    gpu_id: int
    def __init__(self, model_id: _Optional[str] = ..., loaded: _Optional[bool] = ..., model_path: _Optional[str] = ..., stats: _Optional[_Union[ModelStats, _Mapping]] = ..., gpu_id: _Optional[int] = ...) -> None: ...

class ModelStats(_message.Message):
    __slots__ = ("usage_count", "last_used_unix_ms", "total_inference_time_ms", "memory_bytes", "loaded_unix_ms")
    USAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_INFERENCE_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOADED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    usage_count: int
    last_used_unix_ms: int
    total_inference_time_ms: float
    memory_bytes: int
    loaded_unix_ms: int
    def __init__(self, usage_count: _Optional[int] = ..., last_used_unix_ms: _Optional[int] = ..., total_inference_time_ms: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., loaded_unix_ms: _Optional[int] = ...) -> None: ...

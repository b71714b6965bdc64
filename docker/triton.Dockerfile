# syntax=docker/dockerfile:1
# check=skip=InvalidDefaultArgInFrom
# Triton with the Python environments of the models. Build from the project's folder:
#   docker build -f docker/triton.Dockerfile --build-arg TRITON_TAG=... --target full .
# Target `core` is without the environments of vLLM and of the diffusion engine, `full` has both.
ARG TRITON_TAG

FROM nvcr.io/nvidia/tritonserver:${TRITON_TAG} AS tools
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/pentad

# The models' usual environment. PyTorch with CUDA; without nvidia-pytriton, the image has Triton.
FROM tools AS models
COPY requirements/runtime.lock requirements/torch.lock requirements/cuda.lock requirements/
RUN python3 -m venv venv \
    && venv/bin/pip install --no-deps --require-hashes \
        -r requirements/runtime.lock -r requirements/torch.lock -r requirements/cuda.lock

# TensorRT's Python API, which builds the plans, in the version of Triton's own TensorRT. The wheel
# of its libraries is in NVIDIA's index alone, so the hashes are not pinned here; no other index is
# asked, or whoever takes one of these names there could answer.
ARG TENSORRT_VERSION
RUN venv/bin/pip install --no-deps --index-url https://pypi.nvidia.com \
        "tensorrt-cu13==${TENSORRT_VERSION}" "tensorrt-cu13-libs==${TENSORRT_VERSION}" \
        "tensorrt-cu13-bindings==${TENSORRT_VERSION}"

# vLLM: its own environment, reached by the link model_repository/vlm/1/env.
FROM tools AS vlm
COPY requirements/vlm-cuda.lock requirements/
RUN python3 -m venv vlm && vlm/bin/pip install --no-deps --require-hashes -r requirements/vlm-cuda.lock

# The diffusion engine of the try-on model: as the usual environment, with diffusers.
FROM models AS tryon
COPY export/tryon/libraries.lock export/tryon/
RUN python3 -m venv tryon \
    && tryon/bin/pip install --no-deps --require-hashes \
        -r requirements/runtime.lock -r requirements/torch.lock -r requirements/cuda.lock \
    && tryon/bin/pip install --no-deps --require-hashes -r export/tryon/libraries.lock

FROM nvcr.io/nvidia/tritonserver:${TRITON_TAG} AS core
COPY --from=models /opt/pentad/venv /opt/pentad/venv
# Named volumes take their owner from these folders.
RUN install -d -o 1000 -g 1000 /models /blobs /plans /tenants /var/lib/pentad
WORKDIR /opt/pentad
COPY gateway gateway
COPY launcher launcher
COPY embedded embedded
COPY export export
COPY model_repository model_repository
# User 1000 cannot write here: what is not compiled now is compiled by every start.
RUN /opt/pentad/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash \
    gateway launcher embedded export
COPY docker/config.yaml config.yaml
COPY docker/healthy.sh healthy.sh
# Triton's Python stub takes its packages from the pyvenv.cfg beside the first python3 on PATH. CUDA
# counts GPUs as NVML does, by whose numbers they are shown and planned for.
ENV PATH=/opt/pentad/venv/bin:${PATH} \
    VIRTUAL_ENV=/opt/pentad/venv \
    CUDA_DEVICE_ORDER=PCI_BUS_ID \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    VLLM_NO_USAGE_STATS=1 \
    DO_NOT_TRACK=1 \
    HOME=/var/lib/pentad \
    PENTAD_CONFIG=/opt/pentad/config.yaml
USER 1000:1000
EXPOSE 8001 8002
# Everything is loaded by the gateway: alive is what Triton itself can say.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/pentad/healthy.sh", "8002", "/metrics"]
# NVIDIA's own script puts CUDA's forward compatibility before the driver's libraries where the
# driver is older than the image's CUDA and the GPU can do it.
ENTRYPOINT ["/opt/nvidia/nvidia_entrypoint.sh", "python", "-m", "launcher.container"]
CMD ["serve"]

FROM core AS full
USER 0:0
# vLLM compiles kernels for the GPU at hand when it starts.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libpython3-dev \
    && rm -rf /var/lib/apt/lists/*
USER 1000:1000
COPY --from=vlm /opt/pentad/vlm /opt/pentad/vlm
COPY --from=tryon /opt/pentad/tryon /opt/pentad/tryon

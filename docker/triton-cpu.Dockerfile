# syntax=docker/dockerfile:1
# check=skip=InvalidDefaultArgInFrom
# Triton without a GPU: the embedded server that `make run` and the tests use, from PyPI's
# nvidia-pytriton. No image of NVIDIA's is needed. Build from the project's folder:
#   docker build -f docker/triton-cpu.Dockerfile --build-arg PYTHON_TAG=... .
ARG PYTHON_TAG

FROM python:${PYTHON_TAG} AS models
ARG PYTORCH_INDEX=https://download.pytorch.org/whl/cpu
# Where pip finds a CPU build of torch beside the index; without one CUDA's libraries come along.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_EXTRA_INDEX_URL=${PYTORCH_INDEX}
WORKDIR /opt/pentad
COPY requirements requirements
RUN python requirements/install.py --device cpu venv runtime

FROM python:${PYTHON_TAG}
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
ENV PATH=/opt/pentad/venv/bin:${PATH} \
    VIRTUAL_ENV=/opt/pentad/venv \
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
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/pentad/healthy.sh", "8002", "/metrics"]
ENTRYPOINT ["python", "-m", "launcher.container"]
CMD ["serve"]

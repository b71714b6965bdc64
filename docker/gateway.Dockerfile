# syntax=docker/dockerfile:1
# check=skip=InvalidDefaultArgInFrom
# The gateway with the built dashboard: no compiler, no pip, no PyTorch; runs with a read-only root.
# Build from the project's folder:
#   docker build -f docker/gateway.Dockerfile --build-arg PYTHON_TAG=... .
ARG PYTHON_TAG

# Node comes from PyPI, pinned and hashed like everything else.
FROM python:${PYTHON_TAG} AS dashboard
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY docker/dashboard.lock requirements/dashboard.py requirements/steps.py requirements/
RUN python -m venv venv \
    && venv/bin/pip install --no-deps --require-hashes -r requirements/dashboard.lock
COPY dashboard dashboard
# The samples are links to them.
COPY docs/pictures docs/pictures
RUN python requirements/dashboard.py venv

FROM python:${PYTHON_TAG} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
COPY docker/gateway.lock /build/
# Only wheels: nothing is compiled. What no request needs is left out, a fifth of the image: the
# wheels' own tests and symbols for debuggers; pip and, up to Python 3.11, setuptools.
RUN python -m venv /opt/pentad/venv \
    && /opt/pentad/venv/bin/pip install --no-deps --require-hashes --only-binary=:all: \
        --no-compile -r /build/gateway.lock \
    && find /opt/pentad/venv -type d -name tests -prune -exec rm -r {} + \
    && find /opt/pentad/venv -name '*.so' -exec grep -q debug_info {} \; \
        -exec strip --strip-debug {} + \
    && /opt/pentad/venv/bin/pip uninstall -y pip setuptools \
    && /opt/pentad/venv/bin/python -m compileall -q /opt/pentad/venv

FROM python:${PYTHON_TAG}
RUN python -m pip uninstall -y pip \
    && install -d -o 1000 -g 1000 /models /blobs /tenants /var/lib/pentad
COPY --from=packages /opt/pentad/venv /opt/pentad/venv
WORKDIR /opt/pentad
COPY gateway gateway
# The root is read-only: what is not compiled here is compiled by every start. The import shows that
# the stripped libraries load.
RUN /opt/pentad/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash gateway \
    && /opt/pentad/venv/bin/python -c "import gateway.app"
COPY docker/config.yaml config.yaml
COPY docker/healthy.sh healthy.sh
COPY --from=dashboard /build/dashboard/dist dashboard/dist
ENV PATH=/opt/pentad/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/pentad \
    PENTAD_CONFIG=/opt/pentad/config.yaml
USER 1000:1000
# The main port and the old servers' ports.
EXPOSE 9000 5000 8080 8090 8765 50051
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["/opt/pentad/healthy.sh", "9000", "/readyz"]
ENTRYPOINT ["python", "-m", "gateway"]
CMD ["serve"]

# One image for every step. `make image` builds it with docker, podman or buildah (docs/images.md).
#   BASE     an image with Python 3.11, by digest: NAME@sha256:...
#   EXTRAS   optional dependencies of pyproject.toml, such as text
#   wheels   a build context: wheels to be taken before the index's (torch's CPU build), or empty
# The GPU variant differs by what `wheels` holds: without a wheel of torch there, the index's comes,
# which brings CUDA's libraries along.
ARG BASE

FROM ${BASE} AS build
ARG UV=0.13.9
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    set -eu; \
    python3.11 -c 'import ensurepip, venv' 2>/dev/null || { \
        apt-get update -qq; \
        apt-get install -y -qq --no-install-recommends python3.11-venv >/dev/null; }; \
    python3.11 -m venv /uv; \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
        /uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==${UV}"
WORKDIR /opt/genco
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY images/locked.py images/prune.sh images/constraints.txt images/
ARG EXTRAS=text
# Declared here too: a builder's cache knows this layer by its arguments, not by what `wheels` holds.
ARG VARIANT=cpu
# The dependencies alone: this layer stays while only the code changes.
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=bind,from=wheels,target=/wheels \
    set -eu; \
    export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt UV_FIND_LINKS=/wheels; \
    export UV_NO_CACHE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=0; \
    /uv/bin/uv venv --quiet --python python3.11 /opt/venv; \
    /uv/bin/uv pip install --quiet --python /opt/venv/bin/python --constraint constraints.txt \
        --constraint images/constraints.txt --requirement pyproject.toml --extra "${EXTRAS}"; \
    python3.11 images/locked.py /opt/venv/lib/python3.11/site-packages "${VARIANT}"; \
    sh images/prune.sh /opt/venv/lib/python3.11/site-packages; \
    echo "the largest packages, in MiB:"; \
    du -sm /opt/venv/lib/python3.11/site-packages/* | sort -rn | head -12; \
    python3.11 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv || true
COPY components components
COPY examples examples
COPY feature_repo feature_repo
COPY model model
COPY pipelines pipelines
COPY validation validation
COPY services services
COPY benchmarks benchmarks
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    set -eu; \
    export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt UV_NO_CACHE=1; \
    /uv/bin/uv pip install --quiet --no-deps --python /opt/venv/bin/python --editable .; \
    python3.11 -m compileall -q --invalidation-mode unchecked-hash .

FROM ${BASE} AS genco
ARG COMMIT=unknown
ARG VERSION=0
ARG SOURCE=unknown
ARG VARIANT=cpu
LABEL org.opencontainers.image.title="genco" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.version="${VERSION}" \
      genco.source="${SOURCE}" \
      genco.variant="${VARIANT}"
# A number, so that Kubernetes can see that it is not root; the name, so that getpass finds one.
RUN set -eu; \
    echo 'genco:x:10001:0:genco:/tmp:/usr/sbin/nologin' >>/etc/passwd; \
    rm -rf /usr/local/lib/python3.11/site-packages/pip* /usr/local/bin/pip*
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/genco /opt/genco
# Everything that is written goes below /tmp: the root file system may be read-only.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp USER=genco TMPDIR=/tmp MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 GIT_PYTHON_REFRESH=quiet \
    GENCO_GIT_COMMIT=${COMMIT} \
    MLFLOW_DISABLE_TELEMETRY=true MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false \
    GX_ANALYTICS_ENABLED=false DO_NOT_TRACK=true HF_HUB_OFFLINE=1
USER 10001:0
WORKDIR /tmp
CMD ["genco", "--help"]

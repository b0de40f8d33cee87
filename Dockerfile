# wsipipe as a program in an image.
#   docker build -t wsipipe .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" wsipipe run slide.svs -o out
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" wsipipe batch slides -o out
# Networks run on the CPU unless the image sees a GPU (docker run --gpus all) and has a CUDA build of PyTorch. Which build
# it has is decided by the index: PyTorch's own has one for the CPU, which makes a small image, and one for each CUDA.
#   docker build --build-arg PIP_EXTRA_INDEX_URL=... -t wsipipe .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG PIP_EXTRA_INDEX_URL=
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY wsipipe wsipipe
COPY pipelines pipelines
RUN python3 -m venv /opt/wsipipe \
    && /opt/wsipipe/bin/python -m pip install --no-cache-dir --constraint constraints.txt . \
    && /opt/wsipipe/bin/python -m pip uninstall --yes pip setuptools

FROM ${BASE}
COPY --from=build /opt/wsipipe /opt/wsipipe
# compiled code and caches go to a folder that exists for any user, also with --read-only and a tmpfs on /tmp
ENV PATH=/opt/wsipipe/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN wsipipe doctor
USER 65534:65534
WORKDIR /data
# `docker stop` then ends a run as Ctrl-C does: what is finished is kept, the same command continues
STOPSIGNAL SIGINT
ENTRYPOINT ["wsipipe"]
CMD ["--help"]

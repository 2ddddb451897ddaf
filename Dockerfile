# The image of PowerP Streamer. `make image` builds it; docs/deployment.md tells how for several platforms.
#
# No tini: the program has no child processes to reap, and handles SIGTERM and SIGINT itself as process 1.
# Nothing in here needs a shell once it is built, and nothing is written but to volumes.

# Any image with Python 3.11 or newer as python3, and pip.
ARG BASE=python:3.13-slim

# hadolint ignore=DL3006 # the tag is the argument's
FROM ${BASE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
COPY requirements/run.txt requirements/build.txt requirements/
RUN python3 -m venv --without-pip /opt/streamer && python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-compile --require-hashes --only-binary :all: -r requirements/build.txt \
    && /opt/build/bin/pip --python /opt/streamer/bin/python3 install --no-compile --require-hashes --only-binary :all: \
        -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY streamer streamer
# The byte code is compiled once, by content and not by time: files are then the same in every build.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/build/bin/pip --python /opt/streamer/bin/python3 install --no-compile --no-deps --no-index dist/*.whl \
    && /opt/streamer/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /opt/streamer/lib

# hadolint ignore=DL3006 # the tag is the argument's
FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="PowerP Streamer" \
      org.opencontainers.image.description="Every measurement sample of the PowerP Real-Time API as a Kafka event, exactly once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/streamer /opt/streamer
ENV PATH=/opt/streamer/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /var/lib/streamer
EXPOSE 8080
STOPSIGNAL SIGTERM
# Kubernetes has its own probes and ignores this one.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["streamer", "status", "--live", "--config", "/etc/streamer/streamer.yaml"]
ENTRYPOINT ["streamer"]
CMD ["run", "--config", "/etc/streamer/streamer.yaml"]

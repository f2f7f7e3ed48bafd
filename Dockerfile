# The coordinator. Build: docker build -t swit-saga .   Run: docker run -p 50051:50051 -v saga:/data swit-saga
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md ./
COPY client client
COPY server server
COPY protos protos
RUN python -m venv /opt/swit-saga \
    && /opt/swit-saga/bin/pip install --no-cache-dir -c constraints.txt '.[server]'

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home swit-saga
COPY --from=build /opt/swit-saga /opt/swit-saga
# No option is set here, or it would go before the file's: without one, the store is swit-saga.db in the working directory.
ENV PATH=/opt/swit-saga/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 50051
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import grpc; from grpc_health.v1 import health_pb2 as h, health_pb2_grpc as g; c = grpc.insecure_channel('127.0.0.1:50051'); raise SystemExit(g.HealthStub(c).Check(h.HealthCheckRequest(), timeout=2).status != 1)"]
# SIGTERM drains: new calls are refused, sagas under way get time, the rest is resumed by the next start.
STOPSIGNAL SIGTERM
ENTRYPOINT ["swit-saga"]
CMD ["serve"]

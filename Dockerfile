# The coordinator; docs/docker.md says how it is run. Build: docker build -t swit-saga .
FROM python:3.12-slim AS build
WORKDIR /src
# First what it depends on: this layer is made anew only when one of these two files changes.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], *p['optional-dependencies']['server'], sep='\n')" > requirements.txt \
    && python -m venv /opt/swit-saga \
    && /opt/swit-saga/bin/pip install --no-cache-dir -c constraints.txt -r requirements.txt \
    && pip install --no-cache-dir -c constraints.txt hatchling
COPY README.md LICENSE ./
COPY client client
COPY server server
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/swit-saga/bin/pip install --no-cache-dir --no-deps --no-index /wheel/*.whl

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home swit-saga
COPY --from=build /opt/swit-saga /opt/swit-saga
# No option is set here, or it would go before the file's: without one, the store is swit-saga.db in the working directory.
ENV PATH=/opt/swit-saga/bin:$PATH \
    PYTHONUNBUFFERED=1
# By number, so that Kubernetes can see that it is not root.
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 50051
# It asks at the port that the environment or the file says.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["swit-saga", "health"]
# SIGTERM drains, in 20 s at most: new calls are refused, sagas under way get time, the rest is resumed by the next start.
STOPSIGNAL SIGTERM
ENTRYPOINT ["swit-saga"]
CMD ["serve"]

# The service with the detector that comes along, on the CPU:
#   docker build --tag rexnet-ai-real . && docker run --read-only --publish 127.0.0.1:8000:8000 rexnet-ai-real
# An exported detector needs no PyTorch, so that none is installed: what is listed here is all that `serve` imports,
# in the versions that the project is tested with.
FROM python:3.11.13-slim-bookworm

WORKDIR /project
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY conf conf
COPY hydra_plugins hydra_plugins
COPY rexnet_ai_real rexnet_ai_real
RUN grep -E '^[a-z0-9._-]+==' requirements.lock | sed 's/ *\\$//' > versions.txt \
    && pip install --no-cache-dir --constraint versions.txt \
        fastapi numpy onnxruntime pillow prometheus-client python-multipart rich uvicorn \
    && pip install --no-cache-dir --no-deps . \
    && rm -rf /project/*

WORKDIR /
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# Reachable from outside of the container; which addresses of the machine reach it, --publish says.
ENTRYPOINT ["rexnet-ai-real", "serve", "--host", "0.0.0.0", "--port", "8000"]

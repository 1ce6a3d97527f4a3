# escnn's server without PyTorch: docker build -t escnn . && docker run --rm -p 8000:8000 -e ESCNN_TOKEN=... escnn
# It needs nothing that it could write to: --read-only. Its user is nobody in particular.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements-light.txt requirements-serve.txt ./
RUN pip install --no-cache-dir --no-compile --target /app -r requirements-light.txt -r requirements-serve.txt
COPY . .
RUN pip install --no-cache-dir --no-compile --no-deps --target /app . \
 && find /app -name tests -type d -prune -exec rm -r {} +

FROM python:3.13-slim
RUN pip uninstall --yes pip && useradd --uid 10001 --no-create-home escnn
COPY --from=build /app /app
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# Other than loopback it asks for a token, which ESCNN_TOKEN sets.
ENTRYPOINT ["python", "-m", "escnn", "serve", "--host", "0.0.0.0", "--port", "8000"]

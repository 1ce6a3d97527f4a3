"""escnn on modal.com: train on a GPU, keep the model in a volume, serve the endpoint and the page.

    modal run examples/modal_app.py::train             # downloads ESC-50 there, trains, keeps the run
    modal secret create escnn ESCNN_TOKEN=...          # what requests must bring
    modal deploy examples/modal_app.py                 # POST /inference, /v1/predict, /v1/analyze, and the page at /

The functions below are run by a test with a stand-in for Modal. On Modal itself this file was not run: what the
decorators promise there (GPU, volume, secret, address) is taken from Modal's documentation.
"""

import os
from pathlib import Path

import modal
from fastapi import FastAPI

HERE = Path(__file__).resolve().parents[1]
VOLUME = Path("/models")
RUN = VOLUME / "run"

image = (
    modal.Image.debian_slim(python_version="3.12")
    .add_local_dir(HERE / "src", "/escnn/src", copy=True)
    .add_local_file(HERE / "pyproject.toml", "/escnn/pyproject.toml", copy=True)
    .add_local_file(HERE / "README.md", "/escnn/README.md", copy=True)
    .add_local_file(HERE / "LICENSE", "/escnn/LICENSE", copy=True)
    .run_commands("pip install '/escnn[serve]'")
)
volume = modal.Volume.from_name("escnn-models", create_if_missing=True)
app = modal.App("escnn", image=image)


@app.function(gpu="A10G", volumes={str(VOLUME): volume}, timeout=3 * 3600)
def train(epochs: int = 100, preset: str = "default") -> float | None:
    """Train on ESC-50, testing on fold 5; gives the accuracy. The run is kept in the volume."""
    import escnn
    from escnn.data.download import download

    data = VOLUME / "ESC-50"
    download(data, on_message=print)
    run = escnn.train(data, preset=preset, epochs=epochs, out=RUN, device="auto", on_message=print)
    volume.commit()
    return escnn.evaluate(run.folder, data).accuracy


@app.function(volumes={str(VOLUME): volume}, secrets=[modal.Secret.from_name("escnn")], cpu=2.0, memory=2048)
@modal.concurrent(max_inputs=32)
@modal.asgi_app()
def serve() -> FastAPI:
    """The endpoint and the page, of the model in the volume, or of the bundled one where there is none yet."""
    from escnn.server.app import create_app
    from escnn.server.settings import ServerSettings

    model = str(RUN) if (RUN / "model.safetensors").exists() else None
    return create_app(
        ServerSettings(host="0.0.0.0", model=model, token=os.environ["ESCNN_TOKEN"], cors_origins=("*",))  # noqa: S104
    )

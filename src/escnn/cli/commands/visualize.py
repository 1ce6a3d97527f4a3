"""`escnn visualize`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from escnn.cli.console import Console
from escnn.cli.options import PATH, Device, DeviceName, ModelPath, Quiet, Verbose, console_of

if TYPE_CHECKING:
    from escnn.analysis.recording.recording import RecordingAnalysis
    from escnn.cli.output.results import SoundWarnings
    from escnn.inference.prediction import Prediction


def _labels_of_the_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """What the shell offers for --class."""
    from escnn.errors import EscnnError
    from escnn.model.model_file import read_model

    try:
        labels = read_model(ctx.params.get("model") or os.environ.get("ESCNN_MODEL") or None, lazily=True).card.labels
    except EscnnError:
        return []
    return [label for label in labels if label.startswith(incomplete)]


def visualize(
    ctx: typer.Context,
    audio: Annotated[list[str], typer.Argument(help="Files, folders, or - for a sound on stdin.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures and the page.", **PATH)] = Path(
        "report"
    ),
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 5,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="LABEL",
            help="Show the evidence for this class, too.",
            autocompletion=_labels_of_the_model,
        ),
    ] = None,
    channels: Annotated[int, typer.Option(min=0, max=64, help="Strongest channels to show of every layer.")] = 8,
    layers: Annotated[
        str | None, typer.Option(help="Only these layers, separated by commas, such as conv1,layer4.")
    ] = None,
    colormap: Annotated[str | None, typer.Option(help="Colour map of the feature maps, by matplotlib's name.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into --out even if something is there; old pages go.")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    model: ModelPath = None,
    device: Device = DeviceName.AUTO,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what the network hears and why: pictures, feature maps and a page; of several sounds one each, compared.

    Of a sound longer than a minute, the page shows its events in time, as `escnn detect --page` does; the pictures are
    those of the surest event, in a folder of that name.
    """
    from escnn.audio import inputs
    from escnn.cli import progress
    from escnn.cli.output.results import SoundWarnings

    console = console_of(ctx)
    names = inputs.collect_inputs(audio, None, console.stdin)
    with console.working("starting torch"):
        from escnn.analysis.analysis import Analysis
        from escnn.files import check_output_folder, output_folder
        from escnn.inference.classifier import Classifier
        from escnn.inference.prediction import Failure
        from escnn.report.pictures.images import check_colormap
        from escnn.report.sound.folder import analyze_either, save_either, save_sounds
        from escnn.report.sound.layers import choose_layers
        from escnn.report.sound.leftovers import remove_page, remove_pages

        check_colormap(colormap)
        classifier = Classifier.load(model, device=device)
    classifier.class_ids(classes or ())
    shown = choose_layers(classifier.card, layers.split(",") if layers else None)
    asked: dict[str, Any] = {"classes": classes or (), "top_k": top_k}
    options: dict[str, Any] = {"layers": shown, "channels": channels, "colormap": colormap, "command": sys.argv[1:]}
    check_output_folder(out, force=force)
    failures, tell = 0, SoundWarnings(console)
    left_out: Counter[str] = Counter()
    if inputs.is_one_sound(names):
        source, name = inputs.one_sound(names[0], console.stdin)
        with progress.sounds(console, 1) as advance:
            analysis = analyze_either(source, classifier, name, on_progress=advance, **asked)
        with console.working("drawing"):
            remove_page(output_folder(out, force=force))
            page = save_either(analysis, out, classifier, **asked, **options)
        _show(console, tell, analysis.prediction if isinstance(analysis, Analysis) else analysis)
    else:
        page = output_folder(out, force=force) / "index.html"
        remove_pages(out)
        listed = inputs.list_sounds(names, left_out)
        with progress.sounds(console, len(listed)) as advance:
            opened = inputs.opened(listed, console.stdin)
            for result in save_sounds(classifier, opened, out, on_progress=advance, **asked, **options):
                if isinstance(result, Failure):
                    failures += 1
                    console.error(result.error)
                else:
                    _show(console, tell, result)
    tell.end()
    console.left_out(left_out)
    console.result(str(page))
    if open_page and typer.launch(str(page.absolute())):
        console.warning(f"{page}: no browser could be opened")
    if failures:
        raise typer.Exit(3)


def _show(console: Console, tell: SoundWarnings, result: Prediction | RecordingAnalysis) -> None:
    """What a sound was named or what was found in a recording, and the warnings about it."""
    from escnn.inference.prediction import Prediction
    from escnn.report.recording.words import said

    if isinstance(result, Prediction):
        tell(result.name, result.warnings)
        label, _, score = result.top(1)[0]
        console.message(f"{result.name}: {label.replace('_', ' ')} ({100 * score:.1f} %)")
    else:
        tell(result.name, result.found.warnings)
        console.message(f"{result.name}: {said(result)}")

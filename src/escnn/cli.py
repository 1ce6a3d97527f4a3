"""The commands: parse, call, show. Everything that takes time to import is imported inside them."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from escnn import __version__, console
from escnn.endings import Commands, heed_sigterm, interrupted
from escnn.errors import UsageError
from escnn.options import DataFolder, Device, Fold, ModelPath, Quiet, Verbose, Views

if TYPE_CHECKING:
    import torch

    from escnn.dataset import Dataset
    from escnn.runs import Run


STDOUT_NAMES = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")

app = typer.Typer(
    cls=Commands,
    name="escnn",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a convolutional network to name environmental sounds, and see what it hears.",
    epilog="Example: escnn predict clip.wav",
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"escnn {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train a convolutional network to name environmental sounds, and see what it hears."""


@app.command(epilog="Example: escnn download")
def download(
    data: DataFolder = None,
    source: Annotated[
        str | None, typer.Option("--from", help="Archive at hand, or its address.", show_default="the official one")
    ] = None,
    allow_missing: Annotated[bool, typer.Option(help="Take an archive that lacks clips.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only verify what is there.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch again and replace what is there.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fetch ESC-50 (0.6 GB), verify it and put it where the other commands look for it."""
    from escnn import download as downloading
    from escnn.files import default_data_folder

    folder = data or default_data_folder()
    if check:
        found = downloading.check(folder)
        console.result(f"{folder}: {found.describe()}")
        if not (found.complete or allow_missing):
            raise typer.Exit(5)
        return
    stages = {"download": ("downloading", "bytes"), "extract": ("extracting", "files")}
    with console.stages(stages) as advance:
        found = downloading.download(
            folder,
            source=source,
            allow_missing=allow_missing,
            force=force,
            on_progress=lambda progress: advance(progress.stage, progress.done, progress.total),
            on_message=console.message,
        )
    console.result(f"{folder}: {found.describe()}")
    console.message("next: escnn train" + (f" --data {folder}" if data else ""))


@app.command(epilog="Example: escnn train --epochs 100 --fold 5")
def train(
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the training clips.")] = None,
    fold: Fold = None,
    validation_fold: Annotated[
        int | None, typer.Option(min=1, max=5, help="Fold to choose the epoch on, apart from the reported one.")
    ] = None,
    cross_validate: Annotated[bool, typer.Option("--cross-validate", help="Hold out every fold in turn.")] = False,
    preset: Annotated[str | None, typer.Option(help="Settings to start from: default, quick, seed-resnet34.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings from a JSON file, such as a run's config.json.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Clips in a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest of the schedule.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything that is drawn.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder.", show_default="runs/fold<n>-<number>")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.")] = None,
    data: DataFolder = None,
    device: Device = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a network on ESC-50, or on any folder that has a folder of sounds per class."""
    with console.working("starting torch"):
        from escnn import runs
        from escnn.config import preset as named_preset
        from escnn.dataset import open_dataset, split
        from escnn.files import default_data_folder
        from escnn.prediction import choose_device

    changes: dict[str, Any] = {
        "epochs": epochs,
        "fold": fold,
        "validation_fold": validation_fold,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    changes = {key: value for key, value in changes.items() if value is not None}
    chosen_device = choose_device(device)
    if resume is not None:
        if changes or preset or config or out or cross_validate:
            raise UsageError(
                "--resume goes on with a run's own settings", hint="leave out the others, or start a new run"
            )
        folder, todo = runs.reopen(resume)
        dataset = open_dataset(data or todo[0].data, seed=todo[0].config.seed)
    else:
        if preset and config:
            raise UsageError("--preset and --config both name settings", hint="give one of them")
        settings = runs.read_config(config) if config else named_preset(preset or "default")
        settings = dataclasses.replace(settings, **changes)
        dataset = open_dataset(data or default_data_folder(), seed=settings.seed)
        if cross_validate and (fold is not None or validation_fold is not None):
            raise UsageError("--cross-validate holds out every fold in turn", hint="leave out --fold")
        for held_out in dataset.folds if cross_validate else [settings.fold]:
            split(dataset, held_out, settings.validation_fold)  # refused here, no folder is made
        if cross_validate:
            folder, todo = runs.create_cross_validation(out, settings, dataset.root, dataset.folds)
        else:
            run = runs.create(out, settings, dataset.root)
            folder, todo = run.folder, [run]
    if dataset.missing:
        console.warning(f"{len(dataset.missing)} clips of the metadata are not there, such as {dataset.missing[0]}")
    try:
        for run in todo:
            with run.alone():
                _train_one(run, dataset, chosen_device)
    except KeyboardInterrupt:
        console.message(f"every finished epoch is kept; go on with: escnn train --resume {folder}")
        raise
    if len(todo) > 1:
        _cross_validation(folder, todo, dataset, device)
    else:
        console.message(f"next: escnn predict --model {folder} clip.wav")


def _train_one(run: Run, dataset: Dataset, device: torch.device) -> None:
    """Train and evaluate one run, or what is left of it."""
    from escnn import evaluation, training
    from escnn.dataset import load_features, split

    if run.trained and run.evaluated:
        console.message(f"{run.folder}: finished already ({run.config.epochs} epochs)")
        return
    if not run.trained:
        parts = split(dataset, run.config.fold, run.config.validation_fold)
        held_out = f"fold {run.config.fold} held out ({len(parts.held_out)})" if run.config.fold else "none held out"
        console.message(
            f"{run.folder}: learning from {len(parts.train)} clips of {len(dataset.labels)} classes, {held_out}"
        )
        with console.progress("reading sounds") as advance:
            features = load_features(dataset, run.config.audio, advance)
        with console.training(run.config.epochs) as (on_batch, on_epoch):
            for metrics in training.train(
                run, dataset, features, device=device, command=sys.argv[1:], on_batch=on_batch
            ):
                on_epoch(metrics)
    if run.config.fold:
        with console.progress(f"evaluating fold {run.config.fold}") as advance:
            document = evaluation.evaluate_run(
                run, dataset, device=device.type, command=sys.argv[1:], on_progress=advance
            )
        console.message(
            f"{run.folder}: {100 * document['accuracy']:.2f} % of fold {document['fold']} named right, "
            f"{100 * document['top5_accuracy']:.2f} % within the first five"
        )


def _cross_validation(folder: Path, todo: list[Run], dataset: Dataset, device: str) -> None:
    from escnn import evaluation

    with console.progress("evaluating") as advance:
        measured, documents = evaluation.evaluate_runs(
            [run.folder for run in todo], dataset, device=device, on_progress=advance
        )
    evaluation.write_cross_validation(folder, measured, documents)
    evaluation.write_page(folder, measured, documents, dataset, command=sys.argv[1:])
    console.cross_validation(evaluation.cross_validation_summary(documents))


@app.command(epilog="Example: escnn evaluate --model runs/fold5-1")
def evaluate(
    model: ModelPath = None,
    fold: Annotated[
        int | None, typer.Option(min=1, max=5, help="Fold to evaluate on.", show_default="the one it has not seen")
    ] = None,
    cross_validate: Annotated[
        Path | None, typer.Option(metavar="RUNS", help="Evaluate every run of a cross-validation on its own fold.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for JSON, CSV and the confusion matrix.")
    ] = None,
    page: Annotated[
        bool, typer.Option("--report", help="Write a page to explore as well, into --out or ./evaluation.")
    ] = False,
    embed_audio: Annotated[
        bool, typer.Option("--embed-audio", help="Put every clip into that page: about 80 kB each.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the figures as JSON to stdout.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write into --out even if something is there.")] = False,
    views: Views = 1,
    data: DataFolder = None,
    device: Device = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure a model: accuracy, top-5, precision and recall per class, confusions."""
    with console.working("starting torch"):
        from escnn import evaluation
        from escnn.dataset import open_dataset
        from escnn.files import default_data_folder, output_folder
        from escnn.prediction import Classifier

    if embed_audio and not page:
        raise UsageError("--embed-audio puts sounds into a page", hint="add --report")
    if page and out is None:
        out = Path("evaluation")
    if cross_validate is not None:
        if fold is not None:
            raise UsageError("--cross-validate measures every run on its own fold", hint="leave out --fold")
        found = evaluation.find_fold_runs(cross_validate)
        dataset = open_dataset(data or default_data_folder(), seed=evaluation.split_seed(Classifier.load(found[0])))
        if out is not None:
            output_folder(out, force=force)
        with console.progress("evaluating") as advance:
            measured, documents = evaluation.evaluate_runs(
                found, dataset, device=device, views=views, on_progress=advance
            )
        document, show = evaluation.cross_validation_summary(documents), console.cross_validation
        if out is not None:
            evaluation.write_cross_validation(out, measured, documents)
    else:
        classifier = Classifier.load(model, device=device, views=views)
        dataset = open_dataset(data or default_data_folder(), seed=evaluation.split_seed(classifier))
        chosen = evaluation.choose_fold(classifier, dataset, fold)
        clips = dataset.fold(chosen)
        if out is not None:
            output_folder(out, force=force)
        if chosen in evaluation.folds_seen(classifier):
            console.warning(
                f"the model has learnt from fold {chosen}: this says little about sounds that it has not heard"
            )
        with console.progress(f"evaluating fold {chosen}") as advance:
            measured = evaluation.evaluate(classifier, dataset, clips, advance)
        document, show = evaluation.summary(measured, classifier, chosen), console.evaluation
        documents = [document]
        if out is not None:
            evaluation.write_evaluation(out, measured, document)
    if out is not None:
        console.message(f"written to {out}")
        if page:
            evaluation.write_page(out, measured, documents, dataset, embed_audio=embed_audio, command=sys.argv[1:])
    if as_json:
        console.json_document(document)
    else:
        show(document)


@app.command(epilog="Example: escnn predict clip.wav | jq .predictions[0].label")
def predict(
    audio: Annotated[list[str] | None, typer.Argument(help="Files, folders, or - for a sound on stdin.")] = None,
    files_from: Annotated[
        str | None, typer.Option(metavar="FILE", help="Read file names from here, one a line; - for stdin.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 5,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Name no class below this score.")] = 0.0,
    output_format: Annotated[
        str | None,
        typer.Option("--format", help="json, jsonl, csv or table.", show_default="json for one sound, else jsonl"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write here instead of stdout; a link is followed.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file --out if it is there.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Write to --out line by line; stopped, the same command goes on.")
    ] = False,
    views: Views = 1,
    model: ModelPath = None,
    device: Device = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Name the sound in each clip, as JSON, CSV or a table."""
    from escnn import files, inputs

    names = inputs.gather(audio or [], files_from)
    chosen = _output_format(output_format, one=inputs.is_one_sound(names) and not resume)
    if resume and (out is None or force or chosen != "jsonl"):
        raise UsageError(
            "--resume goes on with a file of JSON Lines", hint="add --out FILE; no --force, no other --format"
        )
    if out is not None and str(out) in STDOUT_NAMES:
        out = None  # descriptor 1 itself leads to stderr, away from what C libraries print there
    if out is not None:
        files.check_output_file(out, force=force or resume)
    with console.working("starting torch"):
        from escnn import prediction, results

    classifier = prediction.Classifier.load(model, device=device, views=views)
    described = prediction.describe_model(classifier)
    before = results.reopen(out, classifier.sha256) if resume and out is not None else results.Done()
    if before.names:
        console.message(f"{out}: going on after {len(before.names)} sounds")
    failures, done = before.failures, len(before.names)
    with console.results(chosen, out, top_k, append=resume, force=force) as show:
        sounds = results.remaining(inputs.find_sounds(names), before, out or Path("-"))
        for result in classifier.predict_files(sounds):
            done += 1
            document = prediction.to_document(result, described, top_k=top_k, min_score=min_score)
            if isinstance(result, prediction.Failure):
                failures += 1
                console.error(result.error)
            for text in document["warnings"]:
                console.warning(f"{result.name}: {text}")
            show(document)
    if failures:
        if done > 1:
            console.message(f"{failures} of {done} sounds could not be read")
        raise typer.Exit(3)


def _output_format(asked: str | None, *, one: bool) -> str:
    if asked is None:
        return "json" if one else "jsonl"
    if asked not in ("json", "jsonl", "csv", "table"):
        raise UsageError(f"--format {asked!r}: must be json, jsonl, csv or table")
    if asked == "json" and not one:
        return "jsonl"  # one object after another
    return asked


@app.command(epilog="Example: escnn visualize clip.wav --out report/")
def visualize(
    audio: Annotated[list[str], typer.Argument(help="Files, folders, or - for a sound on stdin.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures and the page.")] = Path("report"),
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 5,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="LABEL", help="Show what spoke for this class, too.")
    ] = None,
    channels: Annotated[int, typer.Option(min=0, max=64, help="Strongest channels to show of every layer.")] = 8,
    layers: Annotated[
        str | None, typer.Option(help="Only these layers, separated by commas, such as conv1,layer4.")
    ] = None,
    colormap: Annotated[
        str | None, typer.Option(help="matplotlib's name of a colour map for the feature maps.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into --out even if something is there.")] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    model: ModelPath = None,
    device: Device = "auto",
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what the network hears and why: pictures, feature maps and a page; of several sounds one each, compared."""
    from escnn import inputs

    names = inputs.gather(audio, None)
    with console.working("starting torch"):
        from escnn import visualization
        from escnn.files import check_output_folder, output_folder
        from escnn.listening import listen
        from escnn.prediction import Classifier, Failure
        from escnn.sound_page import Choices

    visualization.check_colormap(colormap)
    classifier = Classifier.load(model, device=device)
    choices = Choices(
        layers=visualization.choose_layers(classifier, layers.split(",") if layers else None),
        top_k=top_k,
        asked=visualization.find_classes(classifier, classes or []),
        channels=channels,
        colormap=colormap,
        command=sys.argv[1:],
    )
    failures = 0
    check_output_folder(out, force=force)
    if inputs.is_one_sound(names):
        source, name = inputs.one_sound(names[0])
        with console.working("listening"):
            seen = listen(classifier, source, name, explained=choices.explained, asked=choices.asked)
            output_folder(out, force=force)
            page = visualization.write(seen, classifier, out, choices)
        console.heard(seen.prediction)
    else:
        output_folder(out, force=force)
        page = out / "index.html"
        for result in visualization.write_several(classifier, inputs.find_sounds(names), out, choices):
            if isinstance(result, Failure):
                failures += 1
                console.error(result.error)
            else:
                console.heard(result)
    console.result(str(page))
    if open_page:
        typer.launch(str(page))
    if failures:
        raise typer.Exit(3)


def main() -> None:
    """Entry point of the command `escnn`."""
    try:
        heed_sigterm()
        console.keep_stdout_for_results()
        app()
    except KeyboardInterrupt as stop:  # earlier than any command
        sys.exit(interrupted(stop))


if __name__ == "__main__":
    main()

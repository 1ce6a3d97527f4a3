"""Whole commands with hostile inputs, names and options: each a case, drawn from one `Random`, in its own folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzz.damage import mutate
from fuzz.forgery import EXTREME_VALUES, mutate_json
from fuzz.names import make_tree, odd_name, odd_names, sounds_below
from fuzz.stock import Stock

SHARES = {"predict": 87, "evaluate": 10, "visualize": 2, "train": 1}  # of a hundred
CPU_SECONDS = {"predict": 20.0, "evaluate": 60.0, "visualize": 90.0, "train": 120.0}
MINE = "mine.txt"  # a person's own file, wherever it lies


@dataclass
class Case:
    """One command line, what it may write, and what it must say."""

    command: str
    arguments: list[str] = field(default_factory=list)
    stdin: bytes = b""
    out: Path | None = None  # the one place that may change, as the user names it
    before: list[str] | None = None  # arguments of a command to run first: what it writes is damaged by `damage`
    damage: Random | None = None
    sounds: list[str] | None = None  # names of the results in order, where every sound must have one
    form: str = "json"  # of predict's output: json, csv or table

    def option(self, *words: str) -> None:
        """Put an option before the names."""
        self.arguments += words


def command_of(number: int) -> str:
    """The command of a case: fixed by its number, so that any hundred in a row hold all of them in their shares."""
    place = number * 37 % 100  # spread
    for name, share in SHARES.items():
        if place < share:
            return name
        place -= share
    raise AssertionError(number)


def draw(number: int, rng: Random, stock: Stock, work: Path, outside: Path) -> Case:
    """Lay the files of a case out in `work`, which is empty, and draw its command line. `outside` is another's."""
    case = Case(command_of(number))
    {"predict": _predict, "visualize": _visualize, "evaluate": _evaluate, "train": _train}[case.command](
        case, rng, stock, work, outside
    )
    return case


def _predict(case: Case, rng: Random, stock: Stock, work: Path, outside: Path) -> None:
    names = _inputs(case, rng, stock, work, outside, list_of_names=True)
    _model(case, rng, stock, work)
    chosen = rng.choice(("json", "jsonl", "jsonl", "csv", "table", None, None))
    if chosen:
        case.option("--format", chosen)
        case.form = "json" if chosen == "jsonl" else chosen
    if rng.random() < 0.3:
        case.option("--top-k", rng.choice(("1", "2", "3", "1000", "0", "-1", "x", "9" * 30)))
    if rng.random() < 0.2:
        case.option("--min-score", rng.choice(("0", "0.5", "1", "nan", "inf", "-1", "1e-400")))
    if rng.random() < 0.1:
        case.option("--tta", rng.choice(("1", "3", "5", "6")))
    if rng.random() < 0.2:
        case.option("--quiet")
    if rng.random() < 0.15:
        case.out = work / rng.choice(("results.jsonl", odd_name(rng).decode("utf-8", "surrogateescape")))
        if not os.path.lexists(case.out):
            case.before = ["predict", *case.arguments, f"--out={case.out}", "--resume", "--", *names]
            case.damage = rng
        case.option(f"--out={case.out}", "--resume")
    elif rng.random() < 0.6:
        case.out = _out_file(rng, work, outside)
        case.option(f"--out={case.out}")
        if rng.random() < 0.5:
            case.option("--force")
    case.arguments += ["--", *names]


def _visualize(case: Case, rng: Random, stock: Stock, work: Path, outside: Path) -> None:
    names = _inputs(case, rng, stock, work, outside, most=2)
    _model(case, rng, stock, work)
    case.option("--layers", rng.choice(("conv1", "conv1", "conv1", "layer1,layer2", "no", "")))
    case.option("--channels", rng.choice(("0", "1", "2")), "--top-k", rng.choice(("1", "2", "99")))
    if rng.random() < 0.2:
        case.option("--class", rng.choice(("low", "mid", "no", "\x1b[2J", "")))
    _out_folder(case, rng, work, outside, default="report")
    case.arguments += ["--", *names]


def _evaluate(case: Case, rng: Random, stock: Stock, work: Path, outside: Path) -> None:
    data = work / odd_name(rng, (b"",)).decode("utf-8", "surrogateescape")
    stock.copy_data(data, rng)
    case.option(f"--data={data}")
    if rng.random() < 0.15:
        runs = work / "cross"
        runs.mkdir()
        for fold in range(1, rng.randint(2, 4)):
            stock.copy_run(stock.finished, runs / f"fold{fold}", rng, forged=0.5)
        case.option(f"--cross-validate={runs}")
    elif rng.random() < 0.3:
        run = work / "run"
        stock.copy_run(stock.finished, run, rng)
        case.option(f"--model={run}")
    else:
        _model(case, rng, stock, work)
    if rng.random() < 0.6:
        case.option("--fold", rng.choice(("1", "2", "5", "0", "6")))
    if rng.random() < 0.5:
        case.option("--json")
    page = rng.random() < 0.15
    if page:
        case.option("--report")
    if page or rng.random() < 0.2:
        _out_folder(case, rng, work, outside, default="evaluation")


def _train(case: Case, rng: Random, stock: Stock, work: Path, outside: Path) -> None:
    data = work / odd_name(rng, (b"",)).decode("utf-8", "surrogateescape")
    if rng.random() < 0.5:
        run = work / odd_name(rng, (b"",)).decode("utf-8", "surrogateescape")
        stock.copy_run(stock.stopped if rng.random() < 0.7 else stock.finished, run, rng)
        case.option(f"--resume={run}", "--device", "cpu")
        case.out = run
        return
    stock.copy_data(data, rng)
    config = work / "config.json"
    config.write_bytes(mutate_json(stock.config, rng) if rng.random() < 0.6 else stock.config)
    case.option(f"--data={data}", f"--config={config}", "--epochs", "1", "--device", "cpu")
    if rng.random() < 0.3:
        value = rng.choice([value for value in EXTREME_VALUES if not isinstance(value, str) or value.isprintable()])
        name = rng.choice(sorted(json.loads(stock.config)))
        case.option("--set", f"{name}={value!r:.60}") if name != "epochs" else None
    if rng.random() < 0.5:
        case.option("--fold", rng.choice(("0", "1", "5")))
    _out_folder(case, rng, work, outside, default="runs", force=False)


def _inputs(
    case: Case, rng: Random, stock: Stock, work: Path, outside: Path, most: int = 6, list_of_names: bool = False
) -> list[str]:
    """Sounds in files with odd names, in a tree, on stdin or in a list; sets the names of the results in order."""
    contents = [stock.sound(rng) for _ in range(3)]
    kind = rng.randrange(8)
    case.sounds = []
    if kind == 0:
        case.stdin = rng.choice(contents)
        case.sounds.append("-")
        return ["-"]
    names = odd_names(rng, rng.randint(1, most))
    if kind < 3:
        tree = work / "tree"
        make_tree(tree, rng, contents, outside)
        chosen = rng.choice(("tree", "./tree/", "tree/../tree", str(tree)))
        below = sounds_below(Path(chosen))
        case.sounds += below or [chosen]
        if len(below) > 4 * most:
            case.sounds = [str(work / "gone")]
            return case.sounds
        names = names[:1] if below else []
    else:
        chosen = ""
    for name in names:
        if rng.random() < 0.95:
            (work / name).write_bytes(rng.choice(contents))
    if rng.random() < 0.2:
        names += rng.choices((names or ["x"])[0:1], k=1)  # twice
    names = [str(work / name) if rng.random() < 0.3 or name == "-" else name for name in names]
    case.sounds += names
    if list_of_names and kind == 3:
        _list(case, rng, work, names)
        return []
    return [chosen] * bool(chosen) + names


def _leads_out(line: bytes, work: Path) -> bool:
    """Whether a mutated name is a folder that holds more than a case does, such as the whole file system."""
    place = os.path.join(os.fsencode(work), line.rstrip(b"\r"))  # noqa: PTH118 - bytes
    return os.path.isdir(place) and not os.path.realpath(place).startswith(os.fsencode(work.resolve()))  # noqa: PTH112


def _list(case: Case, rng: Random, work: Path, names: list[str]) -> None:
    """The names in a list, as a file or on stdin: what it is then to say is known only of names that fit a line."""
    lines = [os.fsencode(name) for name in names]
    listed = b"\n".join([*lines, b""])
    fitting = all(line.strip() and not set(line) & set(b"\r\n") for line in lines)
    if rng.random() < 0.2:
        listed, fitting = mutate(listed, rng), False
        listed = b"\n".join(b"nothing" if _leads_out(line, work) else line for line in listed.split(b"\n"))
    if not fitting or listed[:1] in (b"\xef", b"\xff", b"\xfe"):  # as the marks of Unicode begin
        case.sounds = None
    if rng.random() < 0.5:
        (work / "list").write_bytes(listed)
        case.option("--files-from=list")
    else:
        case.stdin = listed
        case.option("--files-from=-")


def _model(case: Case, rng: Random, stock: Stock, work: Path) -> None:
    what = rng.random()
    path = work / rng.choice(("model", "model.safetensors", odd_name(rng, (b"",)).decode("utf-8", "surrogateescape")))
    if os.path.lexists(path):
        path = work / "model-of-ours"
    if what < 0.7:
        path.write_bytes(stock.model)
    elif what < 0.95:
        path.write_bytes(stock.forged_model(rng))
    elif what < 0.97:
        path.mkdir()
    case.option(f"--model={path}")


def _out_file(rng: Random, work: Path, outside: Path) -> Path:
    """A name for results: free, taken, a link, a pipe, a device, a folder, or impossible."""
    free = work / odd_name(rng).decode("utf-8", "surrogateescape")
    kind = rng.randrange(12)
    if os.path.lexists(free) or kind == 0:
        return rng.choice((work / "new" / "results", Path("results"), work / "model", Path(), work.parent / "beside"))
    if kind == 1:
        free.write_text("results of last year")
    elif kind == 2:
        free.mkdir()
        (free / MINE).write_text("mine")
    elif kind == 3:
        free.symlink_to(rng.choice((outside / "new", outside / MINE, outside, Path("gone/far"), free)))
    elif kind == 4:
        os.mkfifo(free)
    elif kind == 5:
        return rng.choice((Path("/dev/null"), work / "model" / "below-a-file", Path("x" * 300), Path("a\udc80" * 200)))
    return free


def _out_folder(case: Case, rng: Random, work: Path, outside: Path, default: str, force: bool = True) -> None:
    """`--out` of a command that writes a folder: left out, new, occupied, or no folder at all."""
    case.out = work / default
    if rng.random() < 0.2:
        return
    case.out = _out_file(rng, work, outside)
    if not os.path.lexists(case.out) and rng.random() < 0.2:
        case.out.mkdir(parents=True) if case.out.parent == work else None
    case.option(f"--out={case.out}")
    if force and rng.random() < 0.5:
        case.option("--force")

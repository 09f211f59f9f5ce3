"""The verbs that use trained models: `evaluate`, `predict` and `export`."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specdsl.cli.data import data_at
from specdsl.cli.planning import complaints
from specdsl.cli.shared import PATH, STANDARD, Failure, WrongInput
from specdsl.diagnostics import did_you_mean

if TYPE_CHECKING:
    from specdsl.data import DataSet
    from specdsl.data.pictures import Picture
    from specdsl.inference import TrainedRun
    from specdsl.inference.answering import Example
    from specdsl.inference.exporting import Form
    from specdsl.inference.opening import Part
    from specdsl.inference.predicting import Predictor
    from specdsl.runs import TrialRecord

RUN = click.argument("folder", type=PATH, metavar="RUN")
BACKEND = click.option(
    "--backend",
    type=click.Choice(["tensorflow", "jax", "torch"]),
    help="What Keras computes with; by default what the run was trained on.",
)
VIEWS = click.option(
    "--views",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="The mean over N of the views that the data block declares.",
)
NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
MOST_WIDTH = 160


@click.command()
@RUN
@click.option("--data", metavar="NAME|PATH", help="Other data than those of the run: a source, a folder, an .npz file.")
@click.option("--part", type=click.Choice(["test", "validation", "train"]), default="test", show_default=True)
@click.option("--trial", metavar="N|all", default="all", show_default=True, help="Which trials.")
@click.option("--ensemble", is_flag=True, help="Also the mean answer of these trials together.")
@VIEWS
@click.option("--per-class", is_flag=True, help="The accuracy of each class too.")
@click.option(
    "--calibrate", is_flag=True, help="First fit temperatures to the validation images, and store them in RUN."
)
@BACKEND
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def evaluate(
    folder: Path,
    data: str | None,
    part: Part,
    trial: str,
    ensemble: bool,
    views: int | None,
    per_class: bool,
    calibrate: bool,
    backend: str | None,
    form: str,
) -> None:
    """Evaluate what a run trained: loss, metrics, and how far probabilities can be believed.

    On the run's own data, loss and metrics are what the run recorded. The validation part is split off as it was.
    """
    from specdsl.inference import evaluating, shown
    from specdsl.inference.calibration import store

    with complaints():
        run = _opened(folder)
        if calibrate or part == "validation":
            run.validation()  # or a refusal, before a framework is loaded
        trials = run.chosen(_trial_number(trial))
        if ensemble and len(trials) < 2:
            raise WrongInput(f"an ensemble takes several trials, and {folder} has {len(trials)} that can be used")
        loaded, same = _data(run, data)
        if not same and calibrate:
            raise WrongInput("--calibrate takes the validation images of the run, and these are other data")
        predictor = _predictor(run, trials, views, backend)
        if calibrate:
            made = evaluating.calibrated(predictor, loaded, ensemble=ensemble)
            store(run.record.folder, made)
            for one in made:
                if one.at_a_bound:
                    what = f"the temperature of {_trials(one.trials)} is at the bound of its search"
                    _warn(f"{what}, {one.temperature:g}")
        evaluation = evaluating.evaluate(predictor, loaded, part, own=same, ensemble=ensemble)
    if form == "json":
        click.echo(json.dumps(shown.evaluation_json(evaluation, per_class), indent=2, ensure_ascii=False))
    elif form == "csv":
        click.echo(shown.evaluation_csv(evaluation, per_class), nl=False)
    else:
        for line in shown.evaluation_lines(evaluation, _width(), per_class):
            click.echo(line)


@click.command(context_settings={"ignore_unknown_options": True})
@RUN
@click.argument("examples", nargs=-1, type=click.UNPROCESSED, metavar="IMAGE...")
@click.option(
    "--trial", type=click.IntRange(1), metavar="N", help="Which trial's model; by default the first that can be used."
)
@click.option("--ensemble", is_flag=True, help="The mean answer of all trials.")
@VIEWS
@click.option(
    "--top", type=click.IntRange(1), default=5, show_default=True, metavar="K", help="How many classes are told."
)
@BACKEND
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def predict(
    folder: Path,
    examples: tuple[str, ...],
    trial: int | None,
    ensemble: bool,
    views: int | None,
    top: int,
    backend: str | None,
    form: str,
) -> None:
    """Predict what images show: files, folders of files, or `-` for standard input.

    Any size, mode and format that Pillow reads. Each is brought to the size of the run's data by an antialiased bicubic
    filter, and then goes through the `evaluate` pipeline. Of a model that takes no images, an example is numbers with
    commas between them, or a CSV file with an example in each row.

    Files that cannot be read are named, and the others predicted; the exit code is 2 then.
    """
    if not examples:
        raise WrongInput("name what to predict: specdsl predict RUN IMAGE...")
    for one in examples:
        if _is_option(one):
            known = [option for parameter in predict.params for option in parameter.opts if option.startswith("--")]
            hint = did_you_mean(one.split("=")[0], known)
            raise WrongInput(f"there is no option '{one}'" + (f"; {hint}" if hint else f"; write ./{one} for a file"))
    if ensemble and trial is not None:
        raise WrongInput("--ensemble takes all trials: it goes without --trial")
    from specdsl.inference import shown
    from specdsl.inference.answering import answer

    failed: dict[str, str] = {}
    with complaints():
        run = _opened(folder)
        trials = run.chosen(trial)
        if not ensemble:
            trials = trials[:1]
        elif len(trials) < 2:
            raise WrongInput(f"an ensemble takes several trials, and {folder} has {len(trials)} that can be used")
        read: list[Example] = []
        read += _pictures(run, examples, failed) if run.takes_images else _values(run, examples, failed)
        for name, reason in failed.items():
            click.echo(f"error: {shown.printable(name)}: {reason}", err=True)
        if not read:
            sys.exit(WrongInput.exit_code)
        answers = answer(_predictor(run, trials, views, backend), read, top)
    if form == "json":
        click.echo(json.dumps(shown.answers_json(answers, failed), indent=2, ensure_ascii=False))
    elif form == "csv":
        click.echo(shown.answers_csv(answers), nl=False)
    else:
        for line in shown.answers_lines(answers, _width()):
            click.echo(line)
    if failed:
        sys.exit(WrongInput.exit_code)


@click.command()
@RUN
@click.option(
    "--to", "form", type=click.Choice(["keras", "onnx", "litert", "savedmodel"]), required=True, help="What to write."
)
@click.option("-o", "--output", type=PATH, metavar="PATH", help="The file; of a SavedModel the folder.")
@click.option("--trial", type=click.IntRange(1), metavar="N", help="Which trial's model; by default the first.")
@click.option("--with-preprocessing", is_flag=True, help="Let it take bytes and do what `evaluate` says itself.")
@click.option("--data", metavar="NAME|PATH", help="Where the run's data are now, of which test examples are compared.")
def export(
    folder: Path, form: Form, output: Path | None, trial: int | None, with_preprocessing: bool, data: str | None
) -> None:
    """Write a trained model for other programs, check it, and describe it.

    What was written is loaded again, and compared with the model on test examples. A file beside it, PATH.json, says
    what goes in, what has to be done before, and what comes out.
    """
    from specdsl.inference import exporting

    try:
        with complaints():
            run = _opened(folder)
            exporting.check_packages(form)
            chosen = run.chosen(trial)[0]
            target = output or Path(f"{run.record.model}{exporting.ENDINGS[form]}")
            _check_target(target, form, exporting.ENDINGS[form])
            loaded, _ = _data(run, data)
            with _waiting(NAMES["tensorflow" if form != "keras" else run.backend]):
                made = exporting.export(run, chosen, loaded, form, target, preprocessing=with_preprocessing)
    except exporting.ExportError as error:
        raise Failure(error.message + (f"\n  help: {error.help}" if error.help else "")) from None
    click.echo(
        f"{made.file}: the same as the model on {made.examples} test {'images' if run.takes_images else 'examples'}, "
        f"to {made.difference:.1e} ({made.tolerance:.1e} is allowed)"
    )
    if made.recorded is not None:
        click.echo(f"and as what the run recorded of them, to {made.recorded:.1e}")
    for note in made.notes:
        click.echo(note)
    click.echo(f"{made.description}: what goes in and what comes out")


def _check_target(target: Path, form: str, ending: str) -> None:
    """Refuse places that cannot be written to, or would cost something else than an export."""
    if ending and target.suffix != ending:
        raise WrongInput(f"a file of {form} has a name that ends with {ending}, unlike {target}")
    if target.is_dir() and (ending or any(target.iterdir())):
        raise WrongInput(f"{target} is a folder" + ("" if ending else " that holds something; nothing is overwritten"))
    if target.is_file() and not ending:
        raise WrongInput(f"{target} is a file, and a SavedModel is a folder")
    if not target.parent.is_dir():
        raise Failure(f"{target} cannot be written: there is no folder {target.parent}")


def _data(run: TrainedRun, written: str | None) -> tuple[DataSet, bool]:
    """The data that are named, or those of the run; and whether they are those of the run, to the last byte."""
    from specdsl.recipes import Gtsrb

    asked = run.record.config.get("request", {}).get("data") if written is None else written
    source, place = (None, None) if asked is None else data_at(asked)
    own = run.recipe.data.source
    if written is None or (isinstance(source, Gtsrb) and isinstance(own, Gtsrb)):
        source = own  # prepared files lie in a folder that the recipe does not name
    elif source is not None:
        source = source.completed(own)
    loaded = run.data(source, place)
    same = loaded.fingerprint() == run.record.data["sha256"]
    if not same and written is None:
        _warn(f"the data are not those that {run.record.folder} was trained on: their SHA-256 differ")
    return loaded, same


def _pictures(run: TrainedRun, names: tuple[str, ...], failed: dict[str, str]) -> Iterator[Picture]:
    """The pictures that arguments name; what cannot be read is noted with the reason."""
    from specdsl.data.pictures import BYTES, STANDARD_INPUT, PictureError, files_in
    from specdsl.inference.answering import picture_of

    for name in names:
        try:
            if Path(name) == STANDARD:
                given = sys.stdin.buffer.read(BYTES + 1)
                if len(given) > BYTES:
                    raise PictureError(f"more than {BYTES >> 20} MiB")
                yield picture_of(run, given, STANDARD_INPUT)
                continue
            files = files_in(Path(name))
        except PictureError as error:
            failed[STANDARD_INPUT if Path(name) == STANDARD else name] = str(error)
            continue
        for file in files:
            try:
                yield picture_of(run, file)
            except PictureError as error:
                failed[str(file)] = str(error)


def _values(run: TrainedRun, names: tuple[str, ...], failed: dict[str, str]) -> Iterator[Example]:
    """The examples that arguments are or name; what cannot be read is noted with the reason."""
    from specdsl.inference.vectors import ValuesError, from_argument, from_csv, read_csv

    for name in names:
        try:
            if (alone := from_argument(name, run.shape)) is not None:
                yield name, alone
                continue
            rows = from_csv(sys.stdin.read(), run.shape) if Path(name) == STANDARD else read_csv(Path(name), run.shape)
        except ValuesError as error:
            failed[name] = str(error)
            continue
        for number, row in enumerate(rows, start=1):
            yield f"{name}:{number}", row


def _is_option(written: str) -> bool:
    """Whether an argument is meant as an option that there is not: `-0.5` is a number, and `-` standard input."""
    return written.startswith("--") or (written.startswith("-") and written[1:2].isalpha())


def _opened(folder: Path) -> TrainedRun:
    from specdsl.inference import open_run

    return open_run(folder)


def _predictor(run: TrainedRun, trials: tuple[TrialRecord, ...], views: int | None, backend: str | None) -> Predictor:
    """The models, loaded; who waits is told for what."""
    from specdsl.inference.predicting import Predictor, backend_for

    chosen = backend_for(run, backend)
    if chosen != (backend or run.backend):
        _warn(f"{NAMES[run.backend]} is not installed: {NAMES[chosen]} is used, which rounds differently")
    with _waiting(NAMES[chosen]):
        return Predictor(run, trials, views=views, backend=chosen)


@contextmanager
def _waiting(framework: str) -> Iterator[None]:
    """Within, whoever sits at a terminal is told what takes so long."""
    if not sys.stderr.isatty():
        yield
        return
    click.echo(f"loading {framework} ...\r", nl=False, err=True)
    try:
        yield
    finally:
        click.echo("\x1b[K", nl=False, err=True)


def _trial_number(written: str) -> int | None:
    """The trial that `--trial` names, None for all."""
    if written == "all":
        return None
    if not written.isdecimal() or int(written) < 1:
        raise WrongInput(f"--trial takes a number from 1 on, or 'all', not '{written}'")
    return int(written)


def _trials(numbers: tuple[int, ...]) -> str:
    return f"trial {numbers[0]}" if len(numbers) == 1 else f"trials {', '.join(map(str, numbers))} together"


def _warn(what: str) -> None:
    click.echo(f"warning: {what}", err=True)


def _width() -> int:
    return min(shutil.get_terminal_size((100, 24)).columns, MOST_WIDTH)

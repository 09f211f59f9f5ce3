"""The verbs under `data`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specdsl.cli.preparing import prepare
from specdsl.cli.shared import PATH, STANDARD, Failure, WrongInput, check_places, file_and_model, load_spec, told, write
from specdsl.diagnostics import did_you_mean

if TYPE_CHECKING:
    from specdsl.data import DataSet
    from specdsl.recipes import DataRecipe, Source


@click.group()
def data() -> None:
    """Data sets: what they hold, what their images look like, and how they come here."""


data.add_command(prepare)


@data.command()
@click.argument("name", metavar="NAME|SPEC[:DATA]|PATH")
@click.option(
    "--format", "form", type=click.Choice(["table", "markdown", "csv", "json"]), default="table", show_default=True
)
@click.option("--data", metavar="NAME|PATH", help="The data, in place of the spec's.")
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Where to write the table.")
@click.option("--sheet", type=PATH, metavar="FILE", help="Draw training images of each class: .png or .svg.")
@click.option(
    "--augmented", is_flag=True, help="Draw one image of each class in several draws of the spec's `augment`."
)
@click.option("--evaluated", is_flag=True, help="Draw images after the spec's `evaluate`.")
@click.option("--classes", metavar="NUMBERS", help="The classes to draw, such as 1,2; by default all.")
@click.option("--columns", type=click.IntRange(2, 30), default=8, show_default=True, help="Images in a row.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The seed of the run to look at.")
def show(
    name: str,
    form: str,
    data: str | None,
    output: Path | None,
    sheet: Path | None,
    augmented: bool,
    evaluated: bool,
    classes: str | None,
    columns: int,
    seed: int,
) -> None:
    """Show what a data set holds: examples and tracks of each class in each part.

    NAME is a source, such as synthetic or 'sinc(noise=0.1)'. Of a SPEC, the data of its last `train` block or the DATA
    named are shown, with their validation part. PATH is a folder of prepared GTSRB, a folder of class folders, or an
    .npz file.
    """
    output = None if output == STANDARD else output
    if sheet is None and (augmented or evaluated or classes):
        raise WrongInput("--augmented, --evaluated and --classes say what is drawn: give --sheet FILE with them")
    if augmented and evaluated:
        raise WrongInput("--augmented and --evaluated are two sheets: give one of them")
    if sheet is not None:
        _check_sheet(sheet)
    path, block = file_and_model(name)
    from_spec = path.suffix == ".spec" or path == STANDARD
    if (augmented or evaluated) and not from_spec:
        raise WrongInput(f"--{'augmented' if augmented else 'evaluated'} shows operations of a spec: name one")
    if data is not None and not from_spec:
        raise WrongInput("--data goes before the data of a spec: name one, or the data alone")
    check_places(path, output, sheet, what="what is shown")
    from specdsl.data import DataError
    from specdsl.data.summary import summarise
    from specdsl.declaration import Misuse
    from specdsl.recipes import DataRecipe
    from specdsl.resolve import data_recipe
    from specdsl.training.checks import check_data

    source, folder = (None, None) if data is None and from_spec else data_at(data or name, "--data" if data else "NAME")
    try:
        recipe = data_recipe(load_spec(path).program, block) if from_spec else DataRecipe()
        if source is not None:
            recipe = recipe.taken_from(source) if from_spec else DataRecipe(source=source)
        dataset = loaded(recipe.source, folder)
        check_data(recipe, dataset)
        summary = summarise(dataset, recipe.validation, seed)
    except (DataError, Misuse) as error:
        raise WrongInput(told(error)) from None
    drawn = [] if sheet is None else _classes(classes, dataset)
    if form == "json":
        import json

        text = json.dumps(summary.to_dict(), indent=2, ensure_ascii=False) + "\n"
    elif form == "csv":
        text = summary.to_csv()
    elif form == "markdown":
        text = summary.to_markdown()
    else:
        text = summary.to_text(shutil.get_terminal_size().columns)
    if output is None:
        click.echo(text, nl=False)
    else:
        write(output, text.encode())
        click.echo(f"wrote {output}", err=True)
    if sheet is not None:
        which = "augment" if augmented else "evaluate" if evaluated else None
        _draw(sheet, dataset, recipe, which, drawn, columns, seed)


def data_at(written: str, place: str = "--data") -> tuple[Source, Path | None]:
    """The source that a word or a path names, and the folder of its prepared files where it is one of those.

    Args:
        written: the word or the path.
        place: what it was given as, for messages.

    Raises:
        WrongInput: it names none.
        SpecError: it is the call of a source, and its arguments are wrong.
    """
    from specdsl.data import DataError
    from specdsl.data.origin import is_path, source_at
    from specdsl.recipes import SOURCES, Gtsrb
    from specdsl.resolve import source_called

    if not written:
        raise WrongInput(f"{place} names no data\n  help: data are one of {', '.join(SOURCES)}, or a path")
    if is_path(written):
        try:
            source = source_at(Path(written))
        except DataError as error:
            raise WrongInput(told(error)) from None
        path = Path(written)
        return source, (path if path.is_dir() else path.parent) if isinstance(source, Gtsrb) else None
    if "(" not in written and written not in SOURCES:
        hint = did_you_mean(written, SOURCES) or f"data are one of {', '.join(SOURCES)}, or a path"
        raise WrongInput(f"there is no data set, file or folder '{written}'\n  help: {hint}")
    return source_called(written, place), None


def loaded(source: Source, folder: Path | None) -> DataSet:
    """The data of a source, with a warning on standard error where they are less than the published set.

    Raises:
        DataError: the data are missing, broken, or not as declared.
    """
    from specdsl.data import load

    dataset = load(source, folder=folder)
    if dataset.partial:
        click.echo(f"warning: {dataset.name}: results on it do not compare with others", err=True)
    return dataset


def _classes(written: str | None, dataset: DataSet) -> list[int]:
    """The classes to draw: those that `--classes` names, each once, in its order, or all.

    Raises:
        WrongInput: one of them is no class, they are too many, or the data are no images in classes.
    """
    from specdsl.data.sheet import MOST_ROWS

    if not dataset.class_names or len(dataset.shape) != 3 or dataset.shape[2] not in (1, 3):
        raise WrongInput(f"a contact sheet shows images in classes, which {dataset.name} has not")
    every = list(range(len(dataset.class_names)))
    if written is None:
        if len(every) > MOST_ROWS:
            raise WrongInput(f"a contact sheet has at most {MOST_ROWS} rows, not {len(every)}: choose with --classes")
        return every
    chosen: list[int] = []
    for word in written.split(","):
        if not word.strip().isdecimal() or int(word) not in every:
            raise WrongInput(f"--classes takes numbers of classes from 0 to {every[-1]}, not '{word.strip()}'")
        chosen.append(int(word))
    return list(dict.fromkeys(chosen))


def _check_sheet(path: Path) -> None:
    """Refuse what cannot be drawn before any work is done."""
    try:
        from specdsl.data.sheet import FORMATS
    except ModuleNotFoundError as error:
        raise Failure(f"a contact sheet needs {error.name}: `pip install 'specdsl[training]'` brings it") from None
    if path.suffix.lower() not in FORMATS:
        raise WrongInput(f"a contact sheet is written to a file that ends in {' or '.join(FORMATS)}, not to {path}")


def _draw(
    path: Path, dataset: DataSet, recipe: DataRecipe, which: str | None, classes: list[int], columns: int, seed: int
) -> None:
    """Draw a contact sheet of training images, as they are or after one of a recipe's pipelines."""
    import tempfile

    from specdsl.data.sheet import save
    from specdsl.training import looks

    heads: tuple[str, ...] = ()
    if which == "augment":
        shown = looks.draws(dataset, classes, columns, seed, recipe.augment)
        title, heads = f"{dataset.name}: training images in {columns - 1} draws of augment", ("as it is",)
    elif which == "evaluate":
        shown = looks.rows(dataset, classes, columns, seed, recipe.evaluate)
        title = f"{dataset.name}: training images after evaluate"
    else:
        shown = looks.rows(dataset, classes, columns, seed)
        title = f"{dataset.name}: training images"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / path.name
        save(shown, file, title, heads)
        write(path, file.read_bytes())
    click.echo(f"wrote {path}", err=True)

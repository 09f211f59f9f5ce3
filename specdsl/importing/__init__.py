"""Models that Keras has written, as specs: read without Keras, and without running anything that is in the file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from specdsl.diagnostics import Diagnostic, Slug, SpecError, render_concise
from specdsl.functional import pinned_layers
from specdsl.graph import SEPARATOR, Graph
from specdsl.importing.models import Reader
from specdsl.importing.proof import difference
from specdsl.importing.reading import quoted, read_config, shown
from specdsl.importing.renaming import with_writable_names
from specdsl.importing.writing import spec_text
from specdsl.limits import Limits
from specdsl.resolve import Program
from specdsl.source import Source
from specdsl.syntax.formatter import format_source

__all__ = ["Imported", "import_file"]


class Imported(NamedTuple):
    """What comes of a file.

    Attributes:
        text: the spec, in canonical form.
        notes: what it says otherwise than the file, one sentence each.
    """

    text: str
    notes: tuple[str, ...]


def import_file(
    path: Path | None,
    name: str,
    limits: Limits | None = None,
    standard_input: BinaryIO | None = None,
    *,
    folded: bool = False,
) -> Imported:
    """The spec of the model in a file.

    The text is read again, and what it makes compared with what the file says, before it is given out.

    Args:
        path: the file; None for standard input.
        name: what to call it in messages.
        limits: how large the model may be.
        standard_input: where to read from without a path.
        folded: whether parts that are alike become blocks, and layers have other names for it.

    Raises:
        SpecError: the file cannot be read, or holds something that no spec can say; with all of that.
    """
    limits = limits or Limits()
    reader = Reader(limits)
    try:
        read = reader.main(read_config(path, name, standard_input))
    except RecursionError:
        raise SpecError([Diagnostic(Slug.LIMIT, f"{name}: models nest too deeply")]) from None
    if read is None:
        raise SpecError(found._replace(message=f"{name}: {found.message}") for found in reader.found)
    if not folded and any(SEPARATOR in node.owner for node in read.nodes):
        with suppress(SpecError):  # names with hyphens may be no instances of blocks, or tell of some that none can be
            return _proved(read, name, reader.notes, limits, instances=True)
    return _proved(read, name, reader.notes, limits, folded=folded)


def _proved(
    read: Graph, name: str, known: list[str], limits: Limits, *, folded: bool = False, instances: bool = False
) -> Imported:
    """The text of a model, after what it makes was compared with the model.

    Args:
        read: the model, with the names that it has in the file.
        name: what to call the file in messages.
        known: what is known to be otherwise than in the file.
        limits: how large the model may be.
        folded: whether parts that are alike become blocks, and layers have other names for it.
        instances: whether names with hyphens are those of layers in blocks.

    Raises:
        SpecError: no text was found that makes the same model.
    """
    renamed: dict[str, str] = {}
    graph = with_writable_names(read, renamed, instances=instances)
    notes = [*known, *_renaming_notes(renamed), *_training_notes(graph)]
    try:
        text = format_source(Source(name, spec_text(graph, _comments(name, notes), folded=folded)), limits)
        program = Program(Source(name, text), limits)
        program.raise_mistakes()
        again = program.graph(list(program.models)[-1], {})
    except SpecError as error:
        first = render_concise(error.diagnostics[0]._replace(span=None))
        reason = first.partition(": ")[2]
        message = f"{name}: no spec can say this model: {reason}"
        raise SpecError([Diagnostic(error.diagnostics[0].slug, message)]) from None
    if (wrong := difference(graph, again, names=not folded)) is not None:
        message = f"{name}: the text of this model would be another one ({wrong}); this is a fault of specdsl"
        raise SpecError([Diagnostic(Slug.BAD_VALUE, message)])
    return Imported(text, tuple(notes))


def _comments(name: str, notes: list[str]) -> list[str]:
    return [f"Imported from {shown(Path(name).name)}.", *(f"{note}." for note in notes)]


def _renaming_notes(renamed: dict[str, str]) -> list[str]:
    told = [f"{quoted(old)} is '{new}'" for old, new in list(renamed.items())[:10]]
    more = f", and {len(renamed) - 10:,} more" if len(renamed) > 10 else ""
    return [f"Names that a spec cannot write: {', '.join(told)}{more}"] if renamed else []


def _training_notes(graph: Graph) -> list[str]:
    if not (pinned := pinned_layers(graph)):
        return []
    names = f"{', '.join(map(quoted, pinned[:5]))}{', ...' if len(pinned) > 5 else ''}"
    return [f"`training=` of {names} holds here, where Keras passes on what the whole model is called with"]

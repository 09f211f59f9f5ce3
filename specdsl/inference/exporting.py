"""Trained models in forms that other programs run: written, loaded again, compared, and described."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from specdsl.backends.quiet import without_noise
from specdsl.data.dataset import DataSet
from specdsl.inference.calibration import stored
from specdsl.inference.opening import TrainedRun
from specdsl.inference.predicting import backend_for, prepared
from specdsl.recipes.augmentation import CenterCrop, Resize
from specdsl.runs.answers import scores
from specdsl.runs.files import RunError, plain, write_json
from specdsl.runs.reading import TrialRecord
from specdsl.training import frameworks
from specdsl.version import __version__

Form = Literal["keras", "onnx", "litert", "savedmodel"]

ENDINGS: dict[Form, str] = {"keras": ".keras", "onnx": ".onnx", "litert": ".tflite", "savedmodel": ""}
"""What files of each form are called; a SavedModel is a folder."""

NEEDS: dict[Form, tuple[str, ...]] = {
    "keras": (),
    "onnx": ("tensorflow", "onnx", "onnxruntime", "tf2onnx"),
    "litert": ("tensorflow",),
    "savedmodel": ("tensorflow",),
}
"""The packages that each form takes beside Keras."""

EXAMPLES = 64
"""How many test examples a model and its export are compared on."""

TOLERANCE = {"float32": 1e-4, "tensorfloat32": 1e-2, "mixed_bfloat16": 5e-2, "mixed_float16": 1e-2}
"""By how much outputs may differ, in parts of the largest one or of 1: by the precision of the recipe and of layers."""


_WITHOUT_16_BITS: tuple[Form, ...] = ("onnx", "litert")
"""Forms whose runtimes on processors have no convolutions, products or softmax of 16 bits, or not of both kinds."""


class ExportError(Exception):
    """A model that cannot be exported, or whose export computes something else.

    Attributes:
        message: what is wrong.
        help: what to do about it, when that is known.
    """

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True)
class Exported:
    """An export that was found right.

    Attributes:
        file: the file, or the folder of a SavedModel.
        description: the file that says what goes in and what comes out.
        examples: how many test examples were compared.
        difference: by how much outputs differ at the most between the model and its export.
        tolerance: by how much they may.
        recorded: by how much the export's differ at the most from what the run recorded; None where that is not known.
        notes: what one should know of it.
    """

    file: Path
    description: Path
    examples: int
    difference: float
    tolerance: float
    recorded: float | None
    notes: tuple[str, ...] = ()


def check_packages(form: Form) -> None:
    """Make sure that what a form takes is installed.

    Raises:
        ExportError: something is not; with the command that installs it.
    """
    missing = [name for name in NEEDS[form] if find_spec(name) is None]
    if missing:
        extra = "tensorflow" if missing == ["tensorflow"] else "onnx"
        raise ExportError(f"{form} needs {' and '.join(missing)}", help=f"pip install 'specdsl[{extra}]'")


def export(
    run: TrainedRun, trial: TrialRecord, data: DataSet, form: Form, target: Path, *, preprocessing: bool = False
) -> Exported:
    """Write a trial's model, compare what was written with it on test examples, and describe it.

    TensorFlow makes every form but Keras's own, whatever the run was trained on: weights are the same in all.

    Args:
        run: the run.
        trial: whose model.
        data: the data of the run, whose test examples are compared.
        form: what to write.
        target: the file, or the folder of a SavedModel.
        preprocessing: whether the export takes what the data hold, images of bytes, and does what `evaluate` says.

    Raises:
        ExportError: a package is missing, the model cannot be had in this form, or its export computes something else.
        Misuse: no back end is installed.
        RunError: the model cannot be loaded.
    """
    check_packages(form)
    frameworks.start(backend_for(run) if form == "keras" else "tensorflow")
    keras = import_module("specdsl.inference.models")
    model = keras.load_model(trial.model_file)
    raw = data.test.x[:EXAMPLES]
    x = prepared(raw, run.recipe.data.evaluate)
    with keras.products(run.recipe.precision):
        wanted = keras.outputs(model, x)
    if preprocessing:
        model = keras.with_preprocessing(model, run.recipe.data.evaluate, run.shape, scaled=raw.dtype == np.uint8)
        x = raw.astype(np.float32)
    notes: list[str] = []
    narrow = {f"mixed_{name.removeprefix('mixed_')}" for name in keras.policies_of_16_bits(model)}
    if form in _WITHOUT_16_BITS and narrow:
        model = keras.in_float32(model)
        notes.append(f"It computes in float32: what runs {form} lacks operations in 16 bits. Weights are the same.")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        made = Path(folder) / f"model{ENDINGS[form]}"
        with without_noise(), keras.products(run.recipe.precision):
            got = _WRITERS[form](model, made, x, notes)(x)
        tolerance = max(TOLERANCE[name] for name in (run.recipe.precision, *narrow)) * max(
            1.0, float(np.abs(wanted).max())
        )
        difference = float(np.abs(got.astype(np.float64) - wanted).max()) if got.shape == wanted.shape else np.inf
        if not difference <= tolerance:  # NaN is no agreement
            raise ExportError(
                f"what was written does not compute what the model does: outputs differ by {difference:.2g}, "
                f"and {tolerance:.2g} is allowed; nothing is kept"
            )
        if target.is_dir():
            shutil.rmtree(target)
        made.replace(target)
    try:
        recorded = _apart_from_record(run, trial, data, got)
    except RunError as error:
        recorded = None
        notes.append(f"not compared with what the run recorded: {error.message}")
    description = target.with_name(f"{target.name}.json")
    write_json(description, {
        **_described(run, trial, model, preprocessing),
        "format": form,
        "file": target.name,
        "check": {"examples": len(x), "largest_difference": difference, "tolerance": tolerance},
    })  # fmt: skip
    return Exported(target, description, len(x), difference, tolerance, recorded, tuple(notes))


def _apart_from_record(run: TrainedRun, trial: TrialRecord, data: DataSet, got: NDArray[Any]) -> float | None:
    """By how much answers differ from those in `predictions.npz`, where these are of the same data."""
    if not trial.evaluated or data.fingerprint() != run.record.data["sha256"]:
        return None
    kept = trial.predictions()
    recorded = kept["probability"] if run.classifies else kept["value"]
    answers = scores(got, run.recipe.loss, run.classifies)
    return float(np.abs(recorded[: len(got)].reshape(answers.shape).astype(np.float64) - answers).max())


def _described(run: TrainedRun, trial: TrialRecord, model: Any, included: bool) -> dict[str, Any]:
    """What goes into a model and what comes out, for those who run it elsewhere."""
    recipe, images = run.recipe, run.takes_images
    calibration = stored(run.record.folder, [trial.trial], 1, [trial.model_file])
    steps: list[dict[str, Any]] = []
    if images:
        fit = getattr(recipe.data.source, "fit", "stretch")
        steps += [
            {
                "type": "resize",
                "height": run.shape[0],
                "width": run.shape[1],
                "filter": "bicubic, antialiased",
                "fit": fit,
            },
            {"type": "scale", "factor": 1 / 255},
        ]
    steps += plain(recipe.data.evaluate)
    outside = steps[:1] if included else steps
    return {
        "schema": 1,
        "model": run.record.model,
        "trial": trial.trial,
        "specdsl": __version__,
        "input": {
            "name": model.inputs[0].name,
            "shape": [None, *model.input_shape[1:]],
            "dtype": "float32",
            "range": _range(run, included),
            "layout": ["batch", "height", "width", "channels"] if images else ["batch", *["values"] * len(run.shape)],
            "channels": ["grey"] if images and run.shape[2] == 1 else ["red", "green", "blue"] if images else None,
        },
        "before": outside,
        "within": steps[1:] if included else [],
        "output": {
            "name": model.output_names[0],
            "shape": [None, *model.output_shape[1:]],
            "kind": recipe.loss.outputs() if run.classifies else "values",
        },
        "class_names": list(run.class_names),
        "temperature": calibration.temperature if calibration else None,
    }


def _range(run: TrainedRun, included: bool) -> list[int] | None:
    """Between which numbers what is given to a model lies; None where that is not bounded."""
    if not run.takes_images:
        return None
    if included:
        return [0, 255]
    return [0, 1] if all(isinstance(one, CenterCrop | Resize) for one in run.recipe.data.evaluate) else None


Again = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""What was written, loaded again: from examples to outputs."""


def _keras(model: Any, file: Path, x: NDArray[np.float32], notes: list[str]) -> Again:
    keras = import_module("specdsl.inference.models")
    model.save(file)
    again = keras.load_model(file)
    return lambda x: keras.outputs(again, x)


def _onnx(model: Any, file: Path, x: NDArray[np.float32], notes: list[str]) -> Again:
    import onnxruntime

    from specdsl.backends.onnx_model import OnnxError, model_to_onnx

    try:
        file.write_bytes(model_to_onnx(model, x))
    except OnnxError as error:
        raise ExportError(str(error)) from None
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    (name,) = [one.name for one in session.get_inputs()]
    return lambda x: _flat(session.run(None, {name: x})[0])


def _savedmodel(model: Any, file: Path, x: NDArray[np.float32], notes: list[str]) -> Again:
    tensorflow = import_module("tensorflow")
    _exported(lambda: model.export(file, format="tf_saved_model", verbose=False))
    again = tensorflow.saved_model.load(str(file))
    return lambda x: _flat(np.asarray(again.serve(tensorflow.constant(x))))


_CURED = re.compile("TF Select|Select TF ops")
"""What LiteRT's converter says where it lacks operations that TensorFlow has."""


def _litert(model: Any, file: Path, x: NDArray[np.float32], notes: list[str]) -> Again:
    """LiteRT's own operations where they suffice, else with some of TensorFlow's, which not all its runtimes have."""
    tensorflow = import_module("tensorflow")
    own = {"target_spec": {"supported_ops": [tensorflow.lite.OpsSet.TFLITE_BUILTINS]}}
    try:
        model.export(file, format="litert", verbose=False, **own)
    except Exception as error:  # the converter's own class, which it does not show
        if not _CURED.search(str(error)):
            raise _refused(error) from None
        _exported(lambda: model.export(file, format="litert", verbose=False))
        notes.append("It takes some of TensorFlow's operations (select ops), which not every LiteRT runtime has.")
    interpreter = _interpreter(file)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:  # not every interpreter has the operations of TensorFlow
        raise ExportError(
            f"LiteRT's interpreter cannot run what was written, so that it cannot be checked: {_first_line(error)}",
            help="the forms onnx and savedmodel may take this model",
        ) from None
    ((place, signature),) = interpreter.get_signature_list().items()
    runner = interpreter.get_signature_runner(place)
    (given,), (told,) = signature["inputs"], signature["outputs"]
    return lambda x: np.concatenate([_flat(runner(**{given: one[None]})[told]) for one in x])


def _interpreter(file: Path) -> Any:
    """LiteRT's interpreter, of TensorFlow as long as that has one."""
    import warnings

    lite = import_module("tensorflow").lite
    if hasattr(lite, "Interpreter"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces that it moves to the other package
            return lite.Interpreter(str(file))
    try:
        return import_module("ai_edge_litert.interpreter").Interpreter(str(file))
    except ModuleNotFoundError:
        raise ExportError(
            "this TensorFlow has no interpreter of LiteRT to check the export with", help="pip install ai-edge-litert"
        ) from None


def _exported(export: Callable[[], Any]) -> None:
    """Export, and tell whatever the exporter fails with as what it is.

    Raises:
        ExportError: the exporter fails.
    """
    try:
        export()
    except Exception as error:  # TensorFlow's converters have classes of their own, which they do not show
        raise _refused(error) from None


def _refused(error: Exception) -> ExportError:
    """What an exporter fails with, as what it is."""
    return ExportError(f"Keras's exporter cannot do this model: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    first: str = import_module("specdsl.inference.models").first_line(error)
    return first


def _flat(outputs: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(outputs, np.float32).reshape(len(outputs), -1)


_WRITERS: dict[Form, Callable[[Any, Path, NDArray[np.float32], list[str]], Again]] = {
    "keras": _keras,
    "onnx": _onnx,
    "litert": _litert,
    "savedmodel": _savedmodel,
}
"""What writes a model in each form, and loads it again."""

"""Using trained models: evaluation, calibration, prediction, export. Keras is loaded when a model is, not before."""

from specdsl.inference.opening import TrainedRun, open_run

__all__ = ["TrainedRun", "open_run"]

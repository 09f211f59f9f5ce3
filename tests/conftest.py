"""What all tests share."""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from specdsl import cli
from tests.keras.tally import TALLY

# Keras runs on one back end in a process: nobody is to choose another for the tests' own.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# What judges a change draws the same each time, everywhere; who looks for more says `--hypothesis-profile=random`.
for profile, same in (("same", True), ("random", False)):
    settings.register_profile(
        profile,
        deadline=None,
        derandomize=same,
        print_blob=not same,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="take what the corpus gives now as what it must give")


def pytest_configure(config: pytest.Config) -> None:
    """Give all processes of a session a cache folder that is not the user's.

    It lies within pytest's own, so that what JAX has compiled is there the next time; what was measured is not to be.
    """
    if hasattr(config, "workerinput"):  # the workers of pytest-xdist inherit it
        return
    if hasattr(config, "cache"):
        folder = config.cache.mkdir("specdsl-tests-cache")
        shutil.rmtree(folder / "specdsl" / "ways", ignore_errors=True)
    else:
        folder = Path(tempfile.mkdtemp(prefix="specdsl-tests-cache-"))
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"] = str(folder)


def pytest_sessionstart() -> None:
    """Notice Ctrl-C, as the processes begun here do then, also behind a shell that lets its jobs ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let each test draw what it draws alone, outside of Hypothesis too: weights and masks that Keras draws unasked."""
    if not settings().derandomize:
        return
    random.seed(0)
    if (keras := sys.modules.get("keras")) is not None:
        keras.utils.set_random_seed(0)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `specdsl` in this process; gives exit code, standard output and standard error."""

    def run(*arguments: object, columns: int = 80) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["specdsl", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="module", autouse=True)
def _nothing_old_is_searched() -> None:
    """Take what there is before the tests of a file out of Python's search for garbage.

    Keras searches through everything whenever its state is cleared, which each trial of a run begins with. TensorFlow
    and Keras alone are half a million objects, and searching through these took more time than training.
    """
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand on what was counted in a worker process of pytest-xdist."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tally"] = dict(TALLY)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add up what was counted in worker processes."""
    TALLY.update(getattr(node, "workeroutput", {}).get("tally", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how many cases were compared with Keras, and how many disagreed."""
    if TALLY:
        wrong = TALLY["disagreements"]
        cases = ", ".join(f"{number:,} {what}" for what, number in TALLY.items() if what != "disagreements")
        terminalreporter.write_line(f"compared with Keras: {cases}; disagreements: {wrong}")

"""What a run of the tests against Keras tells at its end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.keras.tally import TALLY


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

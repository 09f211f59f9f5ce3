"""What a run of the tests against Keras tells at its end."""

from __future__ import annotations

import pytest

from tests.keras.tally import TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how many cases were compared with Keras, and how many disagreed."""
    if TALLY:
        wrong = TALLY["disagreements"]
        cases = ", ".join(f"{number:,} {what}" for what, number in TALLY.items() if what != "disagreements")
        terminalreporter.write_line(f"compared with Keras: {cases}; disagreements: {wrong}")

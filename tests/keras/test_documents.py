"""The Python that the documents show runs, and gives the numbers that stand beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "tutorial.md"]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBERED = re.compile(r"^(\S.*?) +# ([\d_]+)$", re.MULTILINE)

pytestmark = pytest.mark.keras


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_python_in_documents_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of Python runs where `specs` and `docs` lie; a line with a number for a comment has that value."""
    for name in ("specs", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    codes = PYTHON.findall(path.read_text(encoding="utf-8"))
    assert codes
    for code in codes:
        names: dict[str, Any] = {}
        exec(code, names)
        numbered = NUMBERED.findall(code)
        assert numbered
        for expression, number in numbered:
            assert eval(expression, names) == int(number)

"""Every notebook runs from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


@pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq", "ignore:Proactor")
def test_notebooks_run(tmp_path: Path) -> None:
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    assert paths
    for path in paths:
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        outputs = any(cell.get("outputs") for cell in notebook.cells)
        assert not outputs, f"{path.name}: clear the outputs before committing"
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
        assert any(cell.get("outputs") for cell in notebook.cells)

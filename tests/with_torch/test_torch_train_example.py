"""The example of docs/feeds.md: it is the one that is run here, and it learns."""

import runpy

import pytest

torch = pytest.importorskip("torch")

from posedata.convert import convert, plan_conversion  # noqa: E402
from tests.conftest import ROOT  # noqa: E402

EXAMPLE = ROOT / "docs/train_gcn.py"


def test_the_page_shows_the_file_word_for_word():
    page = (ROOT / "docs/feeds.md").read_text(encoding="utf-8")
    assert f"```python\n{EXAMPLE.read_text(encoding='utf-8')}```\n" in page


def test_it_is_short():
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    assert sum(1 for line in lines if line.strip()) <= 60
    assert max(map(len, lines)) <= 100


@pytest.mark.real
@pytest.mark.slow
def test_it_learns_n_ucla(shared, tmp_path, monkeypatch):
    """A few epochs; chance is 10 %."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    convert(plan_conversion("nucla", shared / "data/nucla"), tmp_path / "nucla")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one a process is fastest where other tests run beside it
    try:
        accuracy = runpy.run_path(str(EXAMPLE))["main"](tmp_path / "nucla", epochs=3)
    finally:
        torch.set_num_threads(threads)
    assert accuracy > 0.5

"""``import posedata`` and ``posedata --help`` load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "pyarrow", "numba", "pandas", "fsspec", "torch", "tqdm")


def loaded_modules(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stderr.split("\n"))


@pytest.mark.parametrize(
    "code",
    [
        "import posedata",
        "import posedata; dir(posedata); posedata.__version__",
        "import sys; sys.argv = ['posedata', '--help']\nfrom posedata.cli import main\n"
        "try: main()\nexcept SystemExit: pass",
        "import sys; sys.argv = ['posedata', 'convert', '--help']\nfrom posedata.cli import main\n"
        "try: main()\nexcept SystemExit: pass",
    ],
)
def test_nothing_heavy_is_loaded(code):
    assert not loaded_modules(code) & set(HEAVY)


def test_every_public_name_is_there():
    import posedata

    for name in posedata.__all__:
        assert getattr(posedata, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = posedata.nothing


def test_converters_never_import_the_command_line_and_the_library_never_the_recipes():
    modules = loaded_modules(
        "import posedata.converters.ntu, posedata.convert, posedata.closing, posedata.validate"
    )
    assert "posedata.converters.ntu" in modules
    assert not [name for name in modules if name.startswith(("posedata.cli.", "posedata.recipes"))]

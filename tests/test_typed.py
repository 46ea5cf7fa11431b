"""What a type checker of somebody else's code sees of the package."""

import subprocess
import sys

CODE = """
import jaxstyle as js

reveal_type(js.Recipe().scales)
js.lbfgs(history="many")
"""


def test_mypy_sees_the_types_from_outside(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    mypy = [sys.executable, "-m", "mypy", "--cache-dir=/dev/null", "--follow-imports=silent"]
    told = subprocess.run([*mypy, "code.py"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert 'Revealed type is "int"' in told or 'Revealed type is "builtins.int"' in told
    assert 'has incompatible type "str"; expected "int"' in told
    assert "import-untyped" not in told

"""Type checkers of other code see the types of the package."""

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
    run = subprocess.run([*mypy, "code.py"], cwd=tmp_path, capture_output=True, text=True)
    printed = run.stdout
    assert 'Revealed type is "int"' in printed or 'Revealed type is "builtins.int"' in printed
    assert 'has incompatible type "str"; expected "int"' in printed
    assert "import-untyped" not in printed

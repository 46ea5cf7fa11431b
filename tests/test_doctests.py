"""Every example in a docstring runs, and every public function has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import jaxstyle

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(jaxstyle.__path__, "jaxstyle.")
    if not module.name.endswith("__main__")
)
WITHOUT_EXAMPLE = {
    # The example of the function beside them shows how they are used.
    "loss_terms",
    "style_targets",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert results.failed == 0


def test_public_functions_have_examples():
    functions = {n: f for n in jaxstyle.__all__ if inspect.isfunction(f := getattr(jaxstyle, n))}
    without = {name for name, f in functions.items() if ">>>" not in (f.__doc__ or "")}
    assert without == WITHOUT_EXAMPLE

"""How functions are compiled, and where compiled programs are cached."""

from jaxstyle.compilation.jitted import Jitted as Jitted
from jaxstyle.compilation.jitted import jit as jit
from jaxstyle.compilation.options import compiler_options as compiler_options
from jaxstyle.compilation.programs import keep_programs as keep_programs

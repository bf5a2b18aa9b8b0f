"""The compiled modules, and nothing else: all that is said of the package stands in pyproject.toml.

With DNSBL_DEBUG=1 they are built to be debugged: not optimised, with debug information and the C assertions of Cython.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

MODULES = (
    "_spans",
    "_merge",
    "_scan",
    "_prints",
)

FLAGS = ["-O0", "-g", "-UNDEBUG"] if os.environ.get("DNSBL_DEBUG") else ["-O2"]

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"dnsbl_server.{module}",
                [f"dnsbl_server/{module}.pyx"],
                extra_compile_args=[*FLAGS, "-Wall", "-Wextra"],
            )
            for module in MODULES
        ],
        build_dir="build",  # the C files, which nobody needs afterwards
        compiler_directives={"language_level": 3, "wraparound": False, "cdivision": True},
    )
)

"""The compiled modules; all else stands in pyproject.toml.

For the builds that prove something (`make checked`, `make sanitized`, `make fuzz`) the environment says more:
DNSBL_CHECKED turns every check on that costs time, and DNSBL_CFLAGS has more flags for the compiler and the linker.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

CHECKED = bool(os.environ.get("DNSBL_CHECKED"))
FLAGS = os.environ.get("DNSBL_CFLAGS", "").split()

MODULES = ("_answer", "_engine")

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"dnsbl_server.{name}",
                [f"dnsbl_server/{name}.pyx"],
                define_macros=[("DNSBL_CHECKED", "1")] if CHECKED else [],
                extra_compile_args=["-O2", "-Wall", "-Wextra", *FLAGS],
                extra_link_args=FLAGS,
            )
            for name in MODULES
        ],
        language_level=3,
        # Cython's own checks are for what is no bare pointer: views of memory that are closed, or too short.
        compiler_directives={
            "boundscheck": CHECKED,
            "initializedcheck": CHECKED,
            "wraparound": False,
            "cdivision": True,
        },
    )
)

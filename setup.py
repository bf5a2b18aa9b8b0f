"""The compiled modules; all else stands in pyproject.toml."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

# For the checked and the sanitized builds; see CONTRIBUTING.md.
FLAGS = os.environ.get("DNSBL_CFLAGS", "").split()

MODULES = ("_answer", "_engine")

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"dnsbl_server.{name}",
                [f"dnsbl_server/{name}.pyx"],
                extra_compile_args=["-O2", "-Wall", "-Wextra", *FLAGS],
                extra_link_args=FLAGS,
            )
            for name in MODULES
        ],
        language_level=3,
    )
)

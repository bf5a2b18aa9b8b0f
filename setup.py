"""The compiled modules; all else stands in pyproject.toml.

With DNSBL_DEBUG=1 they are built to be debugged: not optimised, with debug information and the C assertions of Cython.
DNSBL_CFLAGS adds flags, for the checked and the sanitized builds; see CONTRIBUTING.md. With DNSBL_BUILT=1 they have
been built in place, and an editable install, which would build everything anew, leaves them alone.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

FLAGS = ["-O0", "-g", "-UNDEBUG"] if os.environ.get("DNSBL_DEBUG") else ["-O2"]
FLAGS += os.environ.get("DNSBL_CFLAGS", "").split()
SOURCES = [] if os.environ.get("DNSBL_BUILT") else sorted(Path("dnsbl_server").rglob("*.pyx"))

setup(
    ext_modules=cythonize(
        [
            Extension(
                ".".join(source.with_suffix("").parts),
                [str(source)],
                extra_compile_args=["-Wall", "-Wextra", *FLAGS],
                extra_link_args=FLAGS,
            )
            for source in SOURCES
        ],
        build_dir="build",  # the C files, which nobody needs afterwards
        compiler_directives={"language_level": 3, "wraparound": False, "cdivision": True},
    )
)

"""One transfer with the rsync program into a file.

Owns how the program is called, and its limits. Knows nothing of feeds. Fetchers alone import this.
"""

import os
import subprocess
from typing import IO

from dnsbl_server.supply.download import DEADLINE, MAX_SIZE, Downloaded, DownloadError

_IDLE, _CONNECT = 60, 15  # seconds
_SHOWN = 200


def transfer(url: str, target: IO[bytes], max_size: int = MAX_SIZE, deadline: float = DEADLINE) -> Downloaded:
    """Get a URL of an rsync daemon into a file. max_size: bytes; deadline: seconds. Raises DownloadError."""
    command = ["rsync", "--no-motd", f"--timeout={_IDLE}", f"--contimeout={_CONNECT}", f"--max-size={max_size}"]
    # The size is asked first: a file that is too large is left out without an error.
    command += ["--copy-links", "--inplace", "--whole-file", "--no-perms", "--no-times", "--", url, target.name]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RSYNC_")}
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the URL cannot be taken for an option
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline, env=environment, check=False
        )
    except FileNotFoundError as error:
        raise DownloadError("the rsync program is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"took longer than {deadline:g} seconds") from error
    except OSError as error:
        raise DownloadError(f"rsync cannot be started: {error.strerror}") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = "".join(each if each.isprintable() else "?" for each in (lines[0] if lines else ""))[:_SHOWN]
        raise DownloadError(f"rsync ended with status {done.returncode}: {said}")
    size = os.stat(target.name).st_size
    if not size:
        raise DownloadError(f"empty, or larger than {max_size:,} bytes")
    return Downloaded(is_new=True)

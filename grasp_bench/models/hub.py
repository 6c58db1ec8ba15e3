"""Asks the Hugging Face hub once whether it is there, where its client would try for a minute."""

from __future__ import annotations

import importlib
import socket
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from grasp_bench.core.errors import UserError

_SECONDS = 10.0
_PORTS = {"http": 80, "https": 443}


def hub() -> Any:
    """Imports huggingface_hub, and silences what it says about its own tries.

    Raises:
        UserError: it is not installed.
    """
    try:
        library: Any = importlib.import_module("huggingface_hub")
        tools: Any = importlib.import_module("huggingface_hub.utils")
    except ImportError as error:
        raise UserError(
            "fetching needs huggingface_hub: pip install 'grasp-bench[models]'"
        ) from error
    tools.logging.set_verbosity_error()
    return library


def unreachable() -> str | None:
    """Says why the hub cannot be reached, None if it can.

    Raises:
        UserError: huggingface_hub is not installed.
    """
    hub()
    constants: Any = importlib.import_module("huggingface_hub.constants")
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if getproxies():
        return None  # a proxy may know what this machine does not
    address = urlsplit(constants.ENDPOINT)
    port = address.port or _PORTS.get(address.scheme, 443)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=_SECONDS):
            return None
    except OSError as error:
        return f"{address.hostname} cannot be reached: {error.strerror or error}"

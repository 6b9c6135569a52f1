"""Names that load what they stand for when they are first used, and what is said of those that are not here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Final

__all__ = ["find"]

_PLATFORM: Final = "it manages the other platform's account; pods, templates and endpoints are managed in the console"
_CREDENTIALS: Final = "the key comes from NOVITA_API_KEY, novita_gpus.api_key, or the api_key of a call"
_VOLUME: Final = "files on a mounted volume are read where they are; keep caches there by setting HF_HOME or its like"
_INNER: Final = "it served the package's own downloads; download_files_from_urls and file do all of it"

ABSENT: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            f"novita_gpus.{name}"
            for name in (
                "create_container_registry_auth",
                "create_endpoint",
                "create_pod",
                "create_template",
                "delete_container_registry_auth",
                "get_endpoints",
                "get_gpu",
                "get_gpus",
                "get_pod",
                "get_pods",
                "get_user",
                "resume_pod",
                "stop_pod",
                "terminate_pod",
                "update_container_registry_auth",
                "update_endpoint_template",
                "update_user_settings",
            )
        ),
        _PLATFORM,
    ),
    **dict.fromkeys(
        (f"novita_gpus.{name}" for name in ("check_credentials", "get_credentials", "profile", "set_credentials")),
        _CREDENTIALS,
    ),
    "novita_gpus.SSH_KEY_PATH": _PLATFORM,
    "novita_gpus.error.QueryError": _PLATFORM,
    "novita_gpus.serverless.VolumeCache": _VOLUME,
    "novita_gpus.serverless.utils.VolumeCache": _VOLUME,
    "novita_gpus.serverless.utils.rp_volume_cache": _VOLUME,
    "novita_gpus.serverless.utils.rp_model_cache": "it names a model cache of the other platform",
    "novita_gpus.serverless.utils.rp_download.calculate_chunk_size": _INNER,
    "novita_gpus.serverless.utils.rp_download.extract_disposition_params": _INNER,
    "novita_gpus.serverless.utils.rp_download.parse_content_length": _INNER,
}
"""Names of runpod 1.12.0 that are not here, and what there is in their place."""


def find(package: str, name: str, homes: Mapping[str, str]) -> object:
    """What a package's `__getattr__` returns: loads the name's home, and keeps what it found.

    Args:
        package: The package's name.
        name: The attribute that was asked for.
        homes: By name, `module:attribute`, or a module alone.

    Raises:
        AttributeError: There is no such name; says what to use where that is known.
    """
    home = homes.get(name)
    if home is None:
        advice = ABSENT.get(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}" + (f": {advice}" if advice else ""))
    module, _, attribute = home.partition(":")
    value: object = import_module(module)
    if attribute:
        value = getattr(value, attribute)
    setattr(sys.modules[package], name, value)
    return value

"""Hashes over our own source: results of other code are computed again."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
RESULT_PACKAGES = ("engine", "journal", "replay")  # all code between a journal and the result of a backtest


@cache
def code_digest() -> str:
    """Return a hash over the engine's source, since another engine may fold records to another state."""
    return digest_packages(("engine",))


@cache
def study_code_digest() -> str:
    """Return a hash over the source that makes results: engine, journal, and replay with resimulation and studies."""
    return digest_packages(RESULT_PACKAGES)


def digest_packages(packages: Sequence[str], root: Path = _ROOT) -> str:
    """Return a hash over the names and the text of all Python files of packages.

    Args:
        packages: Folders of `root`.
        root: Where they are.
    """
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()

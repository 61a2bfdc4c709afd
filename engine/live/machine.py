"""The software of this machine, as the SESSION record names it."""

import platform
import sys
from functools import cache
from importlib import metadata


@cache
def software_versions() -> dict[str, str]:
    """Return the versions of Python and of every distribution in use. The first call takes half a second."""
    used = {name.partition(".")[0] for name in sys.modules}
    versions = {"python": platform.python_version()}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name and not used.isdisjoint(_top_level(distribution, name)):
            versions[name.lower()] = distribution.version
    versions["engine"] = versions.get("verbatim-trading", "unknown")
    return versions


def _top_level(distribution: metadata.Distribution, name: str) -> set[str]:
    """Return the importable names of a distribution. RECORD is read as text: parsing all lines takes a second."""
    if name == "verbatim-trading":
        return {"verbatim", "engine"}
    if text := distribution.read_text("top_level.txt"):
        return set(text.split())
    lines = (distribution.read_text("RECORD") or "").splitlines()
    return {line.partition("/")[0].partition(",")[0].removesuffix(".py") for line in lines}

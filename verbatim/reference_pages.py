"""The pages of reference that are made from the code: every setting, and every SQL view with its columns.

`python -m verbatim.reference_pages settings > docs/settings.md` writes one again, and `views` the other.
"""

import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import verbatim
from journal.record import plain
from verbatim.config import Config
from verbatim.sections import Section
from verbatim.setting_meanings import MEANINGS, VARIABLES
from verbatim.testing import VirtualSession, VirtualVenue

SETTINGS_HEAD = """\
# Settings

Every key of a configuration file (`verbatim run CONFIG.toml`, `verbatim record CONFIG.toml`), with its bounds, its
default in a new session and its meaning. Times are in seconds of session time. A limit of 0 is not set.

- The file is TOML. Numbers may be texts, as `"0.01"`: they keep their digits either way. An unknown key is an error
  that suggests the nearest one.
- The environment overrides the file: `VERBATIM_RISK__ORDER_SIZE_MAX=0.002` is `order_size_max` of `[risk]`. An unknown
  variable that begins with `VERBATIM_` is an error.
- A key of the venue, a secret or a signature in the file is an error: [the key](going-live.md#the-key) comes from the
  environment or from `venue.secret_file`.
- The SESSION record keeps every value that a decision depends on, so a replay uses those of its session.
  `verbatim replay SESSION --set risk.NAME=VALUE` tries others.

Whole files to begin with are among the [examples](examples.md#configurations).

<!-- made by `python -m verbatim.reference_pages settings`; tests/test_site.py compares -->
"""
VIEWS_HEAD = """\
# SQL views

The views of `verbatim sql` ([rules of a query](command-line.md#sql)), of `session.sql` and the tables in
[Python](python-api.md), and of an export as Parquet files (`verbatim export SESSION FOLDER`). Every view has the
column `session`; most have `seq`, the record of the row, which `verbatim ask SESSION --at SEQ` and the cockpit accept.
Money is `DECIMAL(38, 18)`; `time` is UTC to the microsecond, `time_ns` is exact.
[plain_parquet.sql](plain_parquet.sql) makes the views in DuckDB without Verbatim.

<!-- made by `python -m verbatim.reference_pages views`; tests/test_site.py compares -->
"""
HEADINGS = {"venue.NAME": "[venue] or [venue.NAME]"}  # of tables that need no name
TYPES: dict[type, str] = {Decimal: "number", int: "whole number", bool: "true, false", str: "text", Path: "path"}


def settings_page() -> str:
    """Return the text of docs/settings.md."""
    parts = [SETTINGS_HEAD, "## At the top of the file\n", "\n".join(_table(Config, _is_plain)), ""]
    for name, section in _sections(Config):
        heading = HEADINGS.get(name, f"[{name}]")
        parts += [f"## {heading}\n", (section.__doc__ or "").partition(";")[0].rstrip(".") + ".\n"]
        parts += ["\n".join(_table(section, _is_plain)), ""]
    parts += [
        "## Variables\n",
        "Beside the settings, the environment may have:\n",
        "| variable | meaning |",
        "|---|---|",
    ]
    parts += [f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items()]
    return "\n".join(parts) + "\n"


def _sections(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Yield each table of the file below a model, with its name in the file; `NAME` is the user's choice."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            place, section = above + name, kind
        elif (
            get_origin(kind) is dict and isinstance(get_args(kind)[1], type) and issubclass(get_args(kind)[1], Section)
        ):
            place, section = f"{above}{name}.NAME", get_args(kind)[1]
        else:
            continue
        yield place, section
        yield from _sections(section, f"{place}.")


def _is_plain(field: FieldInfo) -> bool:
    """Return True for a key with a value, False for a table."""
    kind = field.annotation
    inner = get_args(kind)[1] if get_origin(kind) is dict else kind
    return not (isinstance(inner, type) and issubclass(inner, Section))


def _table(model: type[BaseModel], is_listed: Callable[[FieldInfo], bool]) -> Iterator[str]:
    yield from ("| key | values | default | meaning |", "|---|---|---|---|")
    for name, field in model.model_fields.items():
        if is_listed(field):
            values, default = _values(field), _default(field)
            yield f"| `{name}` | {values} | {default} | {meaning_of(model, name)} |"


def meaning_of(section: type[BaseModel], key: str) -> str:
    """Return the meaning of a key. Raises LookupError if it has none."""
    for owner in section.__mro__:
        if key in MEANINGS.get(owner.__name__, {}):
            return MEANINGS[owner.__name__][key]
    raise LookupError(f"{section.__name__}.{key} has no meaning in verbatim/setting_meanings.py")


def _values(field: FieldInfo) -> str:
    return f"{_type_text(field.annotation)}{_bounds(field.metadata)}"


def _type_text(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _type_text(next(each for each in inner if each is not NoneType))
    if origin is Literal:
        return ", ".join(f'`"{each}"`' for each in inner)
    if origin is tuple:
        return f"list of {_type_text(inner[0])}"
    if origin is dict:
        return "table"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f'`"{each}"`' for each in kind)
    return TYPES[kind]


def _bounds(metadata: list[Any]) -> str:
    words = []
    for bound in metadata:
        if isinstance(bound, Gt):
            words.append(f"above {bound.gt}")
        elif isinstance(bound, Ge):
            words.append(f"from {bound.ge}")
        elif isinstance(bound, Lt):
            words.append(f"below {bound.lt}")
        elif isinstance(bound, Le):
            words.append(f"to {bound.le}")
    text = " ".join(words).replace(" below", ", below")
    return f" {text}" if words else ""


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "required"
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Decimal):
        return f"`{plain(value)}`"
    return f"`{value}`" if isinstance(value, int) else f'`"{value}"`'


def views_page() -> str:
    """Return the text of docs/sql-views.md."""
    with TemporaryDirectory() as folder:
        session = VirtualSession(VirtualVenue(), Path(folder) / "session").run(1)
        session.stop()
        parts = [VIEWS_HEAD]
        for view in verbatim.open(session.folder).views:
            parts += [f"## {view.name}\n", f"{view.about.rstrip('.')}.\n", "| column | type |", "|---|---|"]
            parts += [f"| `{name}` | {kind} |" for name, kind in view.columns]
            parts.append("")
    return "\n".join(parts)


PAGES = {"settings": settings_page, "views": views_page}

if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())

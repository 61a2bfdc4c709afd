"""`verbatim.backtest`: trade the market of a session or a capture with a strategy, against the simulated venue.

The strategy may be a class of a notebook (verbatim/class_source.py). The result is a session like any other.
"""

import json
import os
import secrets
import sys
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

from analysis.session import Session
from analysis.session_tables import SessionPlace
from engine.live.startup import ID_LETTERS
from engine.session_record import StrategySettings
from engine.strategy.loading import as_recorded
from journal.record import canonical, plain
from journal.sessions import new_session_folder
from replay.network_guard import no_sockets
from replay.resim.resimulate import ResimOptions, resimulate
from verbatim.changed_session import changed_session
from verbatim.class_source import module_text
from verbatim.session_opening import SessionName, open
from verbatim.strategy_files import read_strategy
from verbatim.warmup import compile_if_new

Setting = str | int | float | Decimal  # the value of a setting, as a command line has it as text
NOTHING: Mapping[str, Any] = MappingProxyType({})


def backtest(
    session: SessionName,
    strategy: type | str | os.PathLike[str],
    *,
    parameters: Mapping[str, Any] = NOTHING,
    balances: Mapping[str, Setting] = NOTHING,
    model: Mapping[str, Setting] = NOTHING,
    settings: Mapping[str, Setting] = NOTHING,
    exchange_info: str | os.PathLike[str] | None = None,
    quote_assets: Mapping[str, str] = NOTHING,
    into: str | os.PathLike[str] | None = None,
    journals: str | os.PathLike[str] = "journals",
    trust_code: bool = False,
) -> Session:
    """Trade a recorded market with one strategy, from the first record to the last, and return the new session.

    Args:
        session: A session, a recording or an imported capture, as for `verbatim.open`.
        strategy: A class, also of a notebook, or `path.py:Class`.
        parameters: Values that override the defaults of the class.
        balances: The account's money by asset, where the session states none.
        model: Settings of the simulated venue, as `{"request_ms": 2, "fee_taker": "0.0004"}`. Default: measured ones.
        settings: Settings of the session, as `{"risk.order_size_max": "0.5"}`.
        exchange_info: For a capture, a file with the venue's answer to exchangeInfo.
        quote_assets: For a capture without metadata, symbol to the asset in which it is quoted, where that is unknown.
        into: The new folder of the journal. Default: one in `resims`, beside the folder `journals`.
        journals: The folder in which ids are looked up.
        trust_code: Run the session's own risk rules though they were not recorded on this machine.

    Raises:
        StrategyError: The strategy cannot be used; the text says where and why.
        UnknownSettingError: A balance or a setting of the model does not fit.
        UnknownOverrideError: A setting does not fit.
        CannotResimulateError: The session's market cannot be traded.
    """
    opened = open(session, journals=journals)
    new = strategy_settings(strategy, parameters)
    compile_if_new()
    changed = changed_session(
        opened,
        alone=new,
        settings=texts(settings),
        model=texts(model),
        balances=texts(balances),
        exchange_info=None if exchange_info is None else Path(exchange_info),
        quote_assets=quote_assets,
        trust_code=trust_code,
    )
    options = ResimOptions(
        session=changed.body,
        model=changed.model,
        modelled=True,
        balances=changed.balances,
        marks=True,
        changes=(
            f"strategy {new.module}.py:{new.cls}",
            *(f"{name}={text}" for name, text in texts(settings).items()),
            *changed.notes,
        ),
    )
    folder = new_resim_folder(Path(journals)) if into is None else Path(into)
    with no_sockets():
        return Session([SessionPlace(resimulate(changed.folder, folder, options).folder)])


def new_resim_folder(journals: Path) -> Path:
    """Return a new folder apart from the live sessions, since no account continues from a resimulation."""
    root = journals.absolute().parent / "resims"
    return new_session_folder(root, time.time_ns(), "".join(secrets.choice(ID_LETTERS) for _ in range(8)))


def strategy_settings(strategy: type | str | os.PathLike[str], parameters: Mapping[str, Any]) -> StrategySettings:
    """Return a strategy as a SESSION record holds it. A class of a file counts as its file.

    Raises:
        StrategyError: It cannot be used.
    """
    if not isinstance(strategy, type):
        return read_strategy(os.fspath(strategy), parameters=parameters)
    name = strategy.__name__
    file = getattr(sys.modules.get(strategy.__module__), "__file__", None)
    if file is not None and strategy.__module__ != "__main__":
        return read_strategy(f"{file}:{strategy.__qualname__}", name=name.lower(), parameters=parameters)
    draft = StrategySettings(
        name=name.lower(),
        version="",
        module="notebook",
        cls=name,
        parameters=json.loads(canonical(dict(parameters))),  # as a replay will read them
        sources={"notebook": module_text(strategy)},
    )
    return as_recorded(draft)


def texts(settings: Mapping[str, Setting]) -> dict[str, str]:
    """Return the values as texts, as a command line has them."""
    return {name: _text(value) for name, value in settings.items()}


def _text(value: Setting) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return plain(Decimal(str(value))) if isinstance(value, int | float | Decimal) else value

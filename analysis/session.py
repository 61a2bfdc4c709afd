"""A session to read from Python, finished or still running, or several sessions as one: tables, SQL, state, causes.

`verbatim.open` makes one. It has the records that were there when it was opened; `refresh` reads later ones, and
`verbatim.follow` yields them when they arrive. Reads journals and changes nothing except caches.
"""

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.choices import chosen_kinds, chosen_method, chosen_sources, whole_number
from analysis.session_identity import SessionIdentity
from analysis.session_tables import Moment, SessionPlace, moment_text
from engine.session_record import StrategySettings
from journal.progress import Progress
from journal.record import Kind
from replay.moments import find_moment, find_span

if TYPE_CHECKING:
    from analysis.data_quality import DataQuality
    from analysis.record_stream import RecordStream
    from analysis.session_figures import SessionFigures
    from analysis.session_summary import SessionSummary
    from analysis.session_tear_sheet import SessionTearSheet
    from analysis.state_at import StateAt
    from analysis.why import Story
    from replay.replay import ReplayResult
    from replay.strict import StrictResult
    from replay.study.fidelity import Fidelity
    from replay.study.pnl import SessionPnl
    from replay.study.pnl_bridge import PnlBridge
    from replay.study.session_diff import SessionComparison


class Session(SessionIdentity):
    """One recorded session, or several as one. `verbatim.open` finds them by id, path or address.

    The tables are the SQL views of `verbatim sql`; each is computed when its rows are read.
    """

    def refresh(self) -> "Session":
        """Return the same sessions as they are now."""
        return Session(self.places, self.unreadable, self.copies)

    def follow(
        self,
        *,
        start: Moment | None = None,
        kinds: Kind | str | Collection[Kind | str] = (),
        sources: str | Collection[str] = (),
        durable: bool = True,
        timeout_s: float | None = None,
    ) -> "RecordStream":
        """Return the records of the session as they are written, until it ends, for a `for` or an `async for` loop.

        Args:
            start: The first record or time. Default: the first record that was not there when this was opened.
            kinds: Kinds of records, as `FACT`. Default: all.
            sources: Sources of records. Default: all.
            durable: Yield a record once it is on stable storage. False: once it is written, 0.1 s earlier; a power
                cut may still lose it.
            timeout_s: End if no record comes for this time.

        Raises:
            UnknownMomentError: The session has no record at or after `start`.
        """
        from analysis.record_stream import RecordStream

        journal = self.journal
        from_seq = journal.last_seq + 1 if start is None else find_span(journal, moment_text(start), None)[0]
        return RecordStream(
            journal.folder, from_seq=from_seq, kinds=kinds, sources=sources, durable=durable, timeout_s=timeout_s
        )

    # ---- one session

    def state(
        self, at: Moment | None = None, *, trust_code: bool = False, on_progress: Progress | None = None
    ) -> "StateAt":
        """Return the engine's state after a record. No strategy runs.

        Args:
            at: The record or the time. Default: the last record.
            trust_code: Use the state that a slice begins with, though it was not made on this machine.
            on_progress: Called with the records folded and to fold.

        Raises:
            UnknownMomentError: The moment is outside the session.
            JournalError: It is an import, which holds no decisions, or it cannot be read.
        """
        from analysis.state_at import StateAt
        from replay.code_trust import refuse_untrusted_state
        from replay.rebuild import rebuild

        place = self._decided("state")
        seq, time_ns = (None, None) if at is None else find_moment(self.journal, moment_text(at))
        if self.journal.left_out and not trust_code:
            refuse_untrusted_state(place.label)
        last = self.journal.last_seq if seq is None else seq
        return StateAt(*rebuild(place.folder, until=last, until_ns=time_ns, on_progress=on_progress))

    def why(self, order: str | None = None) -> "Story":
        """Return every record that led to the state of an order, the latest first, down to the market message.

        Args:
            order: The client's or the venue's order id. Default: the order that was filled last.

        Raises:
            UnknownOrderError: No order of the session has this name.
        """
        from analysis.why import order_story

        return order_story(self._one("why").folder, order)

    def replay(
        self,
        *,
        until: Moment | None = None,
        overrides: Mapping[str, str] | None = None,
        strategy: StrategySettings | None = None,
        workers: int = 1,
        trust_code: bool = False,
        on_progress: Progress | None = None,
        command: str = "",
    ) -> "ReplayResult":
        """Decide the session again from its journal, and compare every output with the recorded one.

        Args:
            until: The last record or time. Default: the end.
            overrides: Settings to change, as `{"risk.order_size_max": "0.5"}`; then the first difference is sought.
            strategy: Decides in place of the recorded strategy of its class; then the first difference is sought.
            workers: Replay in pieces in so many processes. Without changes only.
            trust_code: Run recorded strategies though they were not recorded on this machine.
            on_progress: Called with the records done and to do.
            command: The command line that repeats this call, for the text of the result.

        Raises:
            UntrustedSourceError: The strategies were recorded elsewhere.
            UnknownOverrideError: A setting or the strategy does not fit.
            ValueError: Changes are given, and workers too; or workers is below 1.
        """
        from replay.overrides import replacement_for
        from replay.replay import replay_session

        place = self._trusted("replay", trust_code=trust_code)
        seq, time_ns = self._until(until)
        if whole_number(workers, 1, "workers") != 1:
            if overrides or strategy is not None:
                raise ValueError("a replay with changes runs in one piece. What to do: leave out workers.")
            from replay.parallel import replay_in_pieces

            return replay_in_pieces(
                place.folder, workers=workers, until=seq, until_ns=time_ns, on_progress=on_progress, command=command
            )
        new = None if strategy is None else replacement_for(self.body, strategy)
        return replay_session(
            place.folder,
            until=seq,
            until_ns=time_ns,
            strategies={} if new is None else {new.name: new},
            overrides=overrides,
            on_progress=on_progress,
            command=command,
        )

    def replay_strictly(
        self, *, until: Moment | None = None, trust_code: bool = False, on_progress: Progress | None = None
    ) -> "StrictResult":
        """Decide the session again in four processes, two hash seeds, compiled and plain, and compare every record.

        Args:
            until: The last record or time. Default: the end.
            trust_code: Run recorded strategies though they were not recorded on this machine.
            on_progress: Called with the processes that ended, and all.

        Raises:
            UntrustedSourceError: The strategies were recorded elsewhere.
            StrictReplayError: A process failed.
        """
        from replay.strict import replay_strictly

        place = self._trusted("replay_strictly", trust_code=trust_code)
        seq, time_ns = self._until(until)
        return replay_strictly(place.folder, until=seq, until_ns=time_ns, on_progress=on_progress)

    def fidelity(
        self, model: Mapping[str, str] | None = None, *, on_try: Callable[[int], None] | None = None
    ) -> "Fidelity":
        """Send the session's own orders to the simulated venue over its own market, and compare the fills of each.

        Args:
            model: Settings of the simulated venue that the search keeps, as `{"request_ms": "2"}`.
            on_try: Called with the number of models tried.

        Raises:
            NothingSentError: The session sent no order.
            UnknownSettingError: A setting of the model does not fit.
        """
        from replay.study.fidelity import fidelity

        return fidelity(self._decided("fidelity").folder, settings=model, on_try=on_try)

    def quality(self) -> "DataQuality":
        """Judge the session's market data: gaps, missing ids, repeats, crossed quotes, silence and lag, by stream.

        Raises:
            SeveralSessionsError: Several sessions are open.
            DamagedJournalError: A segment cannot be read.
        """
        from analysis.data_quality import data_quality

        self._one("quality")
        return data_quality(self)

    def export(
        self,
        target: str | os.PathLike[str],
        *,
        kinds: Kind | str | Collection[Kind | str] = (),
        sources: str | Collection[str] = (),
        start: Moment | None = None,
        end: Moment | None = None,
        on_progress: Progress | None = None,
    ) -> int:
        """Write the records to a file, or all views to Parquet files in a new folder, and return the number of rows.

        Args:
            target: A new file that ends with .parquet, .csv or .jsonl; without an ending, a new folder for the views.
            kinds: Kinds of records. Default: all. This and the rest are for files alone.
            sources: Sources of records. Default: all.
            start: The first record or time.
            end: The last record or time.
            on_progress: Called with the last record that was read, and the last one to read.

        Raises:
            ExportRefusedError: The target exists, or its ending names no format.
            DamagedJournalError: The session is damaged.
            ValueError: A part is chosen for a folder.
        """
        from analysis.view_export import export_views
        from journal.export import export

        self._one("export")
        path = Path(target)
        if not path.suffix:
            if kinds or sources or (start, end) != (None, None):
                raise ValueError(
                    f"{path} is a folder, which gets the views whole. What to do: name a file, as x.jsonl."
                )
            return export_views(self.folder, path)
        first, last = (None if moment is None else moment_text(moment) for moment in (start, end))
        from_seq, to_seq = find_span(self.journal, first, last)
        return export(
            self.journal,
            path,
            from_seq=from_seq,
            to_seq=to_seq,
            kinds=chosen_kinds(kinds) or None,
            sources=chosen_sources(sources) or None,
            on_progress=on_progress,
        )

    def diff(self, other: "Session") -> "SessionComparison":
        """Return the first differences from another session by kind, and the decisions that differ."""
        from replay.study.session_diff import diff_sessions

        return diff_sessions(self.folder, other.folder)

    def pnl_bridge(self, other: "Session") -> "list[PnlBridge]":
        """Return the difference from another session's P&L by cause, which adds up exactly."""
        from replay.study.pnl_bridge import bridge_sessions

        return bridge_sessions(self.folder, other.folder)

    def pnl_report(self, method: str = "average") -> "SessionPnl":
        """Return the P&L in the reporting currency, with the sums by strategy, instrument, account and portfolio.

        Args:
            method: The lots that a fill closes: `average`, `fifo` or `lifo`.

        Raises:
            IncompleteSessionError: It is a slice.
            ValueError: The method is unknown.
        """
        from replay.study.pnl import session_pnl

        return session_pnl(self._one("pnl_report").folder, chosen_method(method))

    def summary(self) -> "SessionSummary":
        """Return the session's length, counts, end, time in each mode, figures of trading and P&L."""
        from analysis.session_summary import summarise

        return summarise(self._one("summary").folder)

    def figures(self, *, with_slippage: bool = True) -> "SessionFigures":
        """Return drawdown, exposure, hit rate, maker share, Sharpe, Sortino; and slippage, which reads all quotes."""
        from analysis.session_figures import session_figures

        self._one("figures")
        return session_figures(self, with_slippage=with_slippage)

    def tear_sheet(self, *, benchmark: str = "", with_prices: bool = True) -> "SessionTearSheet":
        """Return what the session came to: equity, ratios, trades, groups. `print` it, or `write` it as a page.

        Args:
            benchmark: The instrument to hold for comparison. Default: the one with the most fills.
            with_prices: False leaves out slippage, prices and benchmark, which read all quotes.

        Raises:
            IncompleteSessionError: It is a slice.
            JournalError: It is an import.
        """
        from analysis.session_tear_sheet import session_tear_sheet

        self._decided("tear_sheet")
        return session_tear_sheet(self, benchmark=benchmark, with_prices=with_prices)

    def _until(self, until: Moment | None) -> tuple[int | None, int | None]:
        return (None, None) if until is None else find_moment(self.journal, moment_text(until))

    def _trusted(self, what: str, *, trust_code: bool) -> SessionPlace:
        """Return the place of the session, whose recorded code may run.

        Raises:
            UntrustedSourceError: It was recorded elsewhere.
            JournalError: It is an import.
        """
        from replay.code_trust import refuse_untrusted_code

        place = self._decided(what)
        if not trust_code:
            refuse_untrusted_code(self.body, place.trust_key, Path(place.label))
        return place

    def _decided(self, what: str) -> SessionPlace:
        """Return the place of the session, which has decisions.

        Raises:
            JournalError: It is an import.
        """
        from replay.imported_sessions import refuse_import

        place = self._one(what)
        refuse_import(self.journal)
        return place

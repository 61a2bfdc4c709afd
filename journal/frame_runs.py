"""Runs of records that a reader may fold at once: stream frames of one source in a row."""

from collections.abc import Iterator

from journal.record import Kind, Record

GROUP_RECORDS_MAX = 512  # frames handed to the step at once


def group_frames(records: Iterator[Record]) -> Iterator[list[Record]]:
    """Yield the records in order: stream frames of one source in groups, all others alone."""
    run: list[Record] = []
    feed, source = Kind.FEED, ""
    for record in records:
        if record.kind is feed and record.meta is None:
            if record.source != source or len(run) == GROUP_RECORDS_MAX:
                if run:
                    yield run
                run, source = [], record.source
            run.append(record)
            continue
        if run:
            yield run
            run = []
        yield [record]
    if run:
        yield run

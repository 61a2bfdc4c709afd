"""The newest line of a session's meter as metrics."""

from analysis.metrics.values import MetricValues
from engine.meter_line import MeterLine
from engine.session_record import SECOND_NS


def put_meter(values: MetricValues, line: MeterLine) -> None:
    """Set the metrics of the trader's process."""
    values.put("meter_timestamp_seconds", line.wall_ns / SECOND_NS)
    values.put("queued_messages", line.waiting)
    values.put("queued_messages_peak", line.waiting_peak)
    values.put("lag_seconds", line.lag_ns / SECOND_NS)
    values.put("lag_peak_seconds", line.lag_peak_ns / SECOND_NS)
    values.put("unsynced_records", line.unsynced)
    values.put("unwritten_bytes", line.unwritten_bytes)
    values.put_histogram("sync_seconds", line.sync.counts, line.sync.sum_ns / SECOND_NS)
    for each in line.sends:
        values.put_histogram("request_wire_seconds", each.counts, each.sum_ns / SECOND_NS, each.purpose, each.transport)
    values.put("log_queued_batches", line.log_waiting)
    values.put("log_dropped_batches_total", line.log_dropped)
    values.put("trader_resident_memory_bytes", line.resident_bytes)
    values.put("trader_cpu_seconds_total", line.cpu_ns / SECOND_NS)

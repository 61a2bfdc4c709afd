"""Values of metrics in bounded memory: labels are cut, escaped, and of bounded number."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from analysis.metrics.definitions import BUCKETS_S, DEFINITIONS, Definition, MetricKind
from journal.printable import printable

SERIES_MAX = 256  # of one metric; further ones count together
LABEL_CHARS_MAX = 80
OTHER = "other"  # every label of the series beyond the bound

Labels = tuple[str, ...]


class Histogram(NamedTuple):
    """A distribution: counts below each bound of BUCKETS_S and above the last one, and the sum."""

    counts: list[int]
    sum_s: float


class Family(NamedTuple):
    """A metric with all its series."""

    definition: Definition
    numbers: dict[Labels, float]
    histograms: dict[Labels, Histogram]


class MetricValues:
    """The values of a session's metrics."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}

    def add(self, name: str, *labels: str, amount: float = 1.0) -> None:
        """Add to a counter."""
        series = self._numbers.setdefault(name, {})
        key = _key(series, labels)
        series[key] = series.get(key, 0) + amount

    def put(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        series = self._numbers.setdefault(name, {})
        series[_key(series, labels)] = value

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Count a value in a histogram."""
        series = self._histograms.setdefault(name, {})
        key = _key(series, labels)
        counts, sum_s = series.get(key) or Histogram([0] * (len(BUCKETS_S) + 1), 0.0)
        counts[bisect_left(BUCKETS_S, seconds)] += 1
        series[key] = Histogram(counts, sum_s + seconds)

    def put_histogram(self, name: str, counts: Sequence[int], sum_s: float, *labels: str) -> None:
        """Set a histogram that was counted elsewhere, with one count for each of BUCKETS_S and one more."""
        series = self._histograms.setdefault(name, {})
        series[_key(series, labels)] = Histogram(list(counts), sum_s)

    def drop(self, name: str, *labels: str) -> None:
        """Forget the series of a gauge whose first labels are these."""
        series = self._numbers.get(name, {})
        first = tuple(printable(label, LABEL_CHARS_MAX) for label in labels)
        self._numbers[name] = {key: value for key, value in series.items() if key[: len(first)] != first}

    def zero(self, name: str) -> None:
        """Set all series of a gauge to 0."""
        self._numbers[name] = dict.fromkeys(self._numbers.get(name, {}), 0.0)

    def get(self, name: str, *labels: str) -> float:
        """Return a value, or 0."""
        return self._numbers.get(name, {}).get(labels, 0)

    def series(self, name: str) -> Mapping[Labels, float]:
        """Return the values of a metric by their labels."""
        return self._numbers.get(name, {})

    def histograms(self, name: str) -> Mapping[Labels, Histogram]:
        """Return the distributions of a metric by their labels."""
        return self._histograms.get(name, {})

    def labels(self, name: str) -> list[Labels]:
        """Return the labels of all series of a metric that are not 0."""
        return [labels for labels, value in self._numbers.get(name, {}).items() if value]

    def total(self, name: str) -> float:
        """Return the sum of all series of a metric."""
        return sum(self._numbers.get(name, {}).values())

    def copy(self) -> "MetricValues":
        """Return an independent copy."""
        found = MetricValues()
        found._numbers = {name: dict(series) for name, series in self._numbers.items()}
        found._histograms = {
            name: {key: Histogram(list(each.counts), each.sum_s) for key, each in series.items()}
            for name, series in self._histograms.items()
        }
        return found

    def families(self) -> Iterator[Family]:
        """Yield the metrics with values, in the order of the table. Metrics without labels begin at 0."""
        for name, definition in DEFINITIONS.items():
            numbers = self._numbers.get(name, {})
            if not numbers and not definition.labels and definition.kind is MetricKind.COUNTER:
                numbers = {(): 0.0}
            histograms = self._histograms.get(name, {})
            if numbers or histograms:
                yield Family(definition, numbers, histograms)


def _key(series: dict[Labels, float] | dict[Labels, Histogram], labels: Labels) -> Labels:
    """Return the labels as a series has them: of foreign texts only so many."""
    if labels in series:
        return labels
    key = tuple(printable(label, LABEL_CHARS_MAX) for label in labels)
    return key if key in series or len(series) < SERIES_MAX else (OTHER,) * len(labels)

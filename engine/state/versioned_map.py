"""An immutable map for parts with thousands of entries: each change makes a new value, in constant time.

The newest value holds the dict. An older one holds the change that led to the next one, and makes its own copy if it is
read (after Baker, Shallow binding makes functional arrays fast, 1991). Nothing keeps an old value alive. To copy a dict
at each change took a tenth of the time of an order in a session that ends ten orders a second.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

V = TypeVar("V")
_ABSENT: Final[Any] = object()


class VersionedMap(Mapping[str, V]):
    """Behaves as a dict that nothing changes. It is equal to any map with the same entries."""

    __slots__ = ("before", "held", "key", "later")

    def __init__(self, entries: Mapping[str, V]) -> None:
        self.held: dict[str, V] | None = dict(entries)  # None: a later value holds the dict
        self.later: VersionedMap[V] | None = None  # the value after this one: the entry of `key` differs there
        self.key = ""
        self.before: V = _ABSENT  # the entry of `key` in this value

    def with_entry(self, key: str, value: V) -> "VersionedMap[V]":
        """Return the map with one more entry, or with another value of one."""
        entries = self._hand_over(key)
        entries[key] = value
        return self._following(entries)

    def without(self, key: str) -> "VersionedMap[V]":
        """Return the map without an entry, which it must have."""
        entries = self._hand_over(key)
        del entries[key]
        return self._following(entries)

    def _hand_over(self, key: str) -> dict[str, V]:
        """Give up the dict for a value in which this entry differs."""
        entries = self.held or self._entries()
        self.held, self.key, self.before = None, key, entries.get(key, _ABSENT)
        return entries

    def _following(self, entries: dict[str, V]) -> "VersionedMap[V]":
        following: VersionedMap[V] = VersionedMap.__new__(VersionedMap)
        following.held = entries
        self.later = following
        return following

    def _entries(self) -> dict[str, V]:
        """Return the dict of this value. An older one makes its own: a later one undone change by change."""
        if self.held is None:
            older: list[VersionedMap[V]] = []
            value = self
            while value.held is None:
                older.append(value)
                assert value.later is not None, "the newest value holds the dict"
                value = value.later
            entries = dict(value.held)
            for each in reversed(older):
                if each.before is _ABSENT:
                    del entries[each.key]
                else:
                    entries[each.key] = each.before
            self.held, self.later = entries, None
        return self.held

    # ---- reading

    def __getitem__(self, key: str) -> V:
        return (self.held or self._entries())[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        return (self.held or self._entries()).get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in (self.held or self._entries())

    def __iter__(self) -> Iterator[str]:
        return iter(self.held or self._entries())

    def __len__(self) -> int:
        return len(self._entries())

    def values(self) -> Any:
        """Return a view of the values. It may be read until the map is changed."""
        return self._entries().values()

    def items(self) -> Any:
        """Return a view of the entries. It may be read until the map is changed."""
        return self._entries().items()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self is other or self._entries() == dict(other)

    __hash__ = None  # type: ignore[assignment]  # as a dict

    def __reduce__(self) -> tuple[Any, ...]:
        return VersionedMap, (dict(self._entries()),)  # a copy has its own dict

    def __repr__(self) -> str:
        return repr(self._entries())


def versioned(entries: Mapping[str, V]) -> VersionedMap[V]:
    """Return a map with these entries: the same one if it is versioned already."""
    return entries if isinstance(entries, VersionedMap) else VersionedMap(entries)


def encodable(value: object) -> object:
    """Return a value that msgspec encodes: the `enc_hook` of encoders of state."""
    if isinstance(value, VersionedMap):
        return dict(value.items())
    raise NotImplementedError(f"{type(value).__name__} is no value of a state")

"""Addresses that answer with a status for a wrong host or path: 404, 403, a redirect. Trying again does not help there.

After some answers in a row the text names the address, the status and the setting to correct.
"""

import structlog

TRIES_MAX = 3  # a proxy or a firewall may answer so for a moment
NOT_HERE = frozenset({301, 302, 303, 307, 308, 403, 404, 405, 410, 426, 451})

log = structlog.get_logger()


class RefusedAddresses:
    """Counts such answers of each address, websockets and REST, and keeps the text about the first that lasts."""

    def __init__(self) -> None:
        self.text = ""  # "" while no address refused us for long
        self._counts: dict[str, int] = {}

    def note(self, address: str, status: int, setting: str) -> None:
        """Count an answer, and log an error once the address refused us several times in a row.

        Args:
            address: URL without its query.
            status: HTTP status. Any that does not belong to a wrong address starts the count again.
            setting: The setting of the configuration that holds the address.

        """
        if status not in NOT_HERE:
            self._counts.pop(address, None)
            return
        count = self._counts[address] = self._counts.get(address, 0) + 1
        if count == TRIES_MAX:
            text = f"{address} answered HTTP {status} {count} times in a row; correct {setting}"
            log.error("wrong address", reason=text)
            self.text = self.text or text

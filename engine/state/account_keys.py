"""Keys of the parts of one account: an asset's name, below the venue's name in a session of several venues."""


def asset_key(venue: str, asset: str) -> str:
    """Return the key of an asset. `venue` is "" in a session of one venue (StepContext.account_of)."""
    return f"{venue}/{asset}" if venue else asset


def key_venue(key: str) -> str:
    """Return the venue of a key; "" in a session of one venue."""
    return key.rpartition("/")[0]


def key_venue_is(key: str, venue: str) -> bool:
    """Return True if a key is of this venue. In a session of one venue, where `venue` is "", every key is."""
    return not venue or key_venue(key) == venue


def key_asset(key: str) -> str:
    """Return the asset of a key."""
    return key.rpartition("/")[2]

"""Functions in SQL that the views share, and that a query may use; literals of SQL."""

from collections.abc import Sequence

from engine.order_terms import TERMS

# Functions that the views share, and that a query may use. In DuckDB a quotient of two DECIMALs is a DOUBLE, and a
# product of two with 18 places overflows from 100 on. Here factors and quotients keep 12 places; an overflow is NULL.
MACROS = (
    "money(text) AS TRY_CAST(text AS DECIMAL(38, 18))",
    # an integer of a market row, at its instrument's scale
    "at_unit(count, unit) AS CAST(count AS DECIMAL(19, 0)) * unit",
    "instant(ns) AS make_timestamp(ns // 1000)",
    "wire(payload) AS TRY(decode(payload))",  # ->> on bytes would be NULL without an error
    "as_json(text) AS TRY_CAST(text AS JSON)",
    "product(a, b) AS TRY(CAST(CAST(a AS DECIMAL(38, 12)) * CAST(b AS DECIMAL(38, 12)) AS DECIMAL(38, 18)))",
    "_units(a) AS CAST(CAST(a AS DECIMAL(38, 12)) * 1000000000000 AS HUGEINT)",
    "_rest(n, d) AS CAST((n % d) * 1000000000000 // d AS DECIMAL(18, 0)) * CAST('0.000000000001' AS DECIMAL(12, 12))",
    "_ratio(n, d) AS CAST(n // d AS DECIMAL(38, 18)) + _rest(n, d)",
    "ratio(a, b) AS TRY(CAST(_ratio(_units(a), _units(b)) AS DECIMAL(38, 18)))",
)


def macros() -> tuple[str, ...]:
    """Return the functions in SQL that the views share, each as `name(arguments) AS expression`."""
    return (*MACROS, *_order_macros())


def _order_macros() -> tuple[str, ...]:
    """Return the macros that read a recorded order as its terms do (engine/order_terms.py)."""
    without_price = quoted_list([kind.type for kind in TERMS.values() if "price" not in kind.__struct_fields__])
    perhaps_without = quoted_list([kind.type for kind in TERMS.values() if not kind.is_placeable])
    stops = quoted_list(
        [kind.type for kind in TERMS.values() if kind.is_placeable and "stop_price" in kind.__struct_fields__]
    )
    is_none = f"list_contains({without_price}, type) OR (list_contains({perhaps_without}, type) AND price = 0)"
    return (
        f"_price_or_null(type, price) AS CASE WHEN {is_none} THEN NULL ELSE price END",
        f"is_stop(type) AS list_contains({stops}, type)",
        "limit_price(o) AS _price_or_null(o->>'$.type', money(o->>'$.price'))",
    )


def quoted_list(values: Sequence[str]) -> str:
    """Return texts as a list of SQL."""
    return "[" + ", ".join(quote(value) for value in values) + "]"


def quote(value: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"

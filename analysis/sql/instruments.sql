-- The registry of a session: own symbol and venue symbol of each instrument, its decimals, grids, bounds and multiplier, as they were when the session began.
SELECT session, seq, each->>'$.id' AS instrument, coalesce(nullif(each->>'$.own_symbol', ''), each->>'$.symbol') AS own_symbol,
       each->>'$.symbol' AS venue_symbol, each->>'$.venue' AS venue, each->>'$.base' AS base, each->>'$.quote' AS quote,
       TRY_CAST(each->>'$.price_scale' AS INTEGER) AS price_decimals, TRY_CAST(each->>'$.size_scale' AS INTEGER) AS quantity_decimals,
       money(each->>'$.tick_size') AS tick_size, money(each->>'$.lot_size') AS lot_size,
       money(each->>'$.quantity_min') AS quantity_min, money(each->>'$.notional_min') AS notional_min,
       coalesce(money(each->>'$.contract_size'), money('1')) AS multiplier,
       coalesce(TRY_CAST(each->>'$.inverse' AS BOOLEAN), false) AS inverse,
       nullif(each->>'$.contract', '') AS contract, nullif(each->>'$.margin', '') AS margin
FROM (
    SELECT session, seq, unnest(CAST(body->'$.instruments' AS JSON[])) AS each
    FROM journal
    WHERE kind = 'SESSION'
)
ORDER BY session, instrument

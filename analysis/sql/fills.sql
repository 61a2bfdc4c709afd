-- Executions of our own orders, each booked once.
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.client_order_id' AS client_order_id,
       body->>'$.strategy' AS strategy, body->>'$.instrument' AS instrument, body->>'$.side' AS side,
       money(body->>'$.price') AS price, money(body->>'$.quantity') AS quantity,
       product(money(body->>'$.price'), money(body->>'$.quantity')) AS notional,
       money(body->>'$.fee') AS fee, body->>'$.fee_asset' AS fee_asset, CAST(body->>'$.maker' AS BOOLEAN) AS maker,
       CAST(body->>'$.late' AS BOOLEAN) AS late, body->>'$.fill_id' AS fill_id, body->>'$.venue_order_id' AS venue_order_id,
       CAST(body->>'$.venue_ns' AS BIGINT) AS venue_ns, cause
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'order_filled'

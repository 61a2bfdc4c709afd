-- Executions of our own orders, each booked once.
WITH filled AS (  -- a body is parsed once, not once a column
    SELECT session, seq, time_ns, cause, json_transform(body, '{"client_order_id": "VARCHAR", "strategy": "VARCHAR",
           "instrument": "VARCHAR", "side": "VARCHAR", "price": "VARCHAR", "quantity": "VARCHAR", "fee": "VARCHAR",
           "fee_asset": "VARCHAR", "maker": "BOOLEAN", "late": "BOOLEAN", "fill_id": "VARCHAR", "venue_order_id": "VARCHAR",
           "venue_ns": "BIGINT"}') AS fact
    FROM journal
    WHERE kind = 'FACT' AND body->>'$.fact' = 'order_filled'
), valued AS (
    SELECT *, money(fact.price) AS price, money(fact.quantity) AS quantity FROM filled
)
SELECT session, seq, instant(time_ns) AS time, time_ns, fact.client_order_id AS client_order_id, fact.strategy AS strategy,
       fact.instrument AS instrument, fact.side AS side, price, quantity, product(price, quantity) AS notional,
       money(fact.fee) AS fee, fact.fee_asset AS fee_asset, fact.maker AS maker, fact.late AS late, fact.fill_id AS fill_id,
       fact.venue_order_id AS venue_order_id, fact.venue_ns AS venue_ns, cause
FROM valued

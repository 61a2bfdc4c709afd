-- Intents of strategies, each with the rationale that it was decided on. Journals of schema 2 call it `because`.
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.intent' AS intent, body->>'$.strategy' AS strategy,
       body->>'$.version' AS version, key AS client_order_id, body->>'$.order.instrument' AS instrument,
       body->>'$.order.side' AS side, body->>'$.order.type' AS type, money(body->>'$.order.quantity') AS quantity,
       limit_price(body->'$.order') AS price,
       body->>'$.order.time_in_force' AS time_in_force, money(body->>'$.order.quote_quantity') AS quote_quantity,
       nullif(body->>'$.plan_id', '') AS plan_id, coalesce(CAST(body->'$.rationale' AS JSON), CAST(body->'$.because' AS JSON), '{}'::JSON) AS rationale,
       TRY_CAST(coalesce(body->>'$.rationale.quote_seq', body->>'$.because.quote_seq') AS BIGINT) AS quote_seq, cause
FROM journal
WHERE kind = 'INTENT'

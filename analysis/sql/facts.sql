-- Every FACT: what became known of the account or the engine, by its tag; body holds its fields.
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.fact' AS fact, key AS client_order_id, source, cause,
       CAST(body AS JSON) AS body
FROM journal
WHERE kind = 'FACT'

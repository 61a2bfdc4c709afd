-- Every FACT by its tag, under today's name; body holds its fields as recorded.
SELECT session, seq, instant(time_ns) AS time, time_ns,
       if(body->>'$.fact' = 'strategy_woken', 'strategy_triggered', body->>'$.fact') AS fact, key AS client_order_id, source, cause,
       CAST(body AS JSON) AS body
FROM journal
WHERE kind = 'FACT'

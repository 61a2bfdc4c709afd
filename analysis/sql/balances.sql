-- Balances at each change; is_last marks the newest. query_seq: the request that the balance answers, NULL if it was streamed.
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.asset' AS asset, money(body->>'$.free') AS free,
       money(body->>'$.locked') AS locked,
       TRY_CAST(coalesce(body->>'$.query_seq', body->>'$.asked_seq') AS BIGINT) AS query_seq, cause,
       row_number() OVER (PARTITION BY session, body->>'$.asset' ORDER BY seq DESC) = 1 AS is_last
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'balance'
ORDER BY session, seq

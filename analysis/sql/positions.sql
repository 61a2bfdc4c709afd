-- A strategy's position after each fill, by average cost; is_last marks the current one.
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.strategy' AS strategy, body->>'$.instrument' AS instrument,
       money(body->>'$.quantity') AS quantity, money(body->>'$.price_avg') AS price_avg,
       money(body->>'$.realised_pnl') AS realised_pnl, money(body->>'$.fees_quote') AS fees_quote,
       CAST(body->'$.fees' AS JSON) AS fees, key AS client_order_id, cause AS fill_seq,
       row_number() OVER (PARTITION BY session, body->>'$.strategy', body->>'$.instrument' ORDER BY seq DESC) = 1 AS is_last
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'position'
ORDER BY session, seq

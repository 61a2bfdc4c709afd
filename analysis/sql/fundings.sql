-- Fundings of contracts by strategy: amount received (negative: paid) for a quantity held, by the funding's rate and mark price. due is when the venue settled it; rate and mark are NULL if the venue stated the amount alone. report_rate is that of the asset in the reporting currency; NULL: the same asset, or not known.
SELECT session, seq, instant(time_ns) AS time, time_ns, instant(CAST(body->>'$.venue_ns' AS BIGINT)) AS due,
       body->>'$.strategy' AS strategy, body->>'$.instrument' AS instrument, body->>'$.asset' AS asset,
       money(body->>'$.amount') AS amount, money(body->>'$.quantity') AS quantity,
       nullif(money(body->>'$.rate'), 0) AS rate, nullif(money(body->>'$.mark'), 0) AS mark,
       nullif(money(body->>'$.report_rate'), 0) AS report_rate
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'funding_paid'
ORDER BY session, seq

-- P&L as reported from time to time and at the end, in the asset of the instrument's P&L; net is after fees and with funding, except fees_unvalued, whose rate is not known. report_rate is that of the asset in the reporting currency; NULL: the same asset, or not known. is_marked is false without a quote, has_funding if fundings follow mark prices and none came. is_last marks the latest.
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.strategy' AS strategy, body->>'$.instrument' AS instrument,
       money(body->>'$.quantity') AS quantity, money(body->>'$.mark') AS mark,
       money(body->>'$.realised_pnl') AS realised_pnl, money(body->>'$.unrealised_pnl') AS unrealised_pnl,
       money(body->>'$.fees_quote') AS fees_quote,
       money(body->>'$.realised_pnl') + money(body->>'$.unrealised_pnl') + coalesce(money(body->>'$.funding'), 0) - money(body->>'$.fees_quote') AS net_pnl,
       row_number() OVER (PARTITION BY session, body->>'$.strategy', body->>'$.instrument' ORDER BY seq DESC) = 1 AS is_last,
       body->'$.fees_unvalued' AS fees_unvalued, coalesce(body->>'$.is_marked', 'true') = 'true' AS is_marked,
       coalesce(money(body->>'$.funding'), 0) AS funding, body->>'$.asset' AS asset, money(body->>'$.report_rate') AS report_rate,
       coalesce(body->>'$.has_funding', 'true') = 'true' AS has_funding
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'pnl'
ORDER BY session, seq

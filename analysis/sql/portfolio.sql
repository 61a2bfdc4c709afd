-- P&L of all strategies and the account's equity in the reporting currency, as reported from time to time and at the end; total is after fees and with funding. missing and unrated name what the sums lack. is_last marks the latest.
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.currency' AS currency, body->>'$.mark' AS mark,
       money(body->>'$.realised') AS realised, money(body->>'$.unrealised') AS unrealised, money(body->>'$.fees') AS fees,
       money(body->>'$.funding') AS funding,
       money(body->>'$.realised') + money(body->>'$.unrealised') + money(body->>'$.funding') - money(body->>'$.fees') AS total,
       money(body->>'$.equity') AS equity, body->'$.missing' AS missing, body->'$.unrated' AS unrated,
       row_number() OVER (PARTITION BY session ORDER BY seq DESC) = 1 AS is_last
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'portfolio_pnl'
ORDER BY session, seq

-- What the venue holds for us, at each change; is_last marks where it stands now.
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.asset' AS asset, money(body->>'$.free') AS free,
       money(body->>'$.locked') AS locked, cause,
       row_number() OVER (PARTITION BY session, body->>'$.asset' ORDER BY seq DESC) = 1 AS is_last
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'balance'
ORDER BY session, seq

-- The engine's modes, why it entered each and how long it stayed (NULL: to this day).
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.mode' AS mode, CAST(body->'$.reasons' AS JSON) AS reasons,
       lead(time_ns) OVER (PARTITION BY session ORDER BY seq) - time_ns AS stayed_ns, cause
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'mode'
ORDER BY session, seq

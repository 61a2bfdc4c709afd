-- The engine's modes, the reasons for each and how long it stayed (NULL: to this day). `codes` is empty for journals of schema 2.
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.mode' AS mode,
       CAST(if(len(body->'$.reasons[*].text') = 0, body->'$.reasons', to_json(body->'$.reasons[*].text')) AS JSON) AS reasons,
       CAST(to_json(body->'$.reasons[*].code') AS JSON) AS codes,
       lead(time_ns) OVER (PARTITION BY session ORDER BY seq) - time_ns AS stayed_ns, cause
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'mode'
ORDER BY session, seq

-- Connections going up and down, the clock's drift (source clock), our lateness (ingress), slow decisions (decisions).
SELECT session, seq, instant(time_ns) AS time, time_ns, source, body->>'$.state' AS state, nullif(body->>'$.reason', '') AS reason,
       TRY_CAST(body->>'$.drift_ns' AS BIGINT) AS drift_ns, cause,
       TRY_CAST(body->>'$.age_ns' AS BIGINT) AS age_ns, TRY_CAST(body->>'$.waiting' AS BIGINT) AS waiting,
       nullif(body->>'$.strategy', '') AS strategy, TRY_CAST(body->>'$.spent_ns' AS BIGINT) AS spent_ns
FROM journal
WHERE kind = 'LINK'

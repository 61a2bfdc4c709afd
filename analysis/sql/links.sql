-- Connections going up and down, and the clock's drift (source clock).
SELECT session, seq, instant(time_ns) AS time, time_ns, source, body->>'$.state' AS state, nullif(body->>'$.reason', '') AS reason,
       TRY_CAST(body->>'$.drift_ns' AS BIGINT) AS drift_ns, cause
FROM journal
WHERE kind = 'LINK'

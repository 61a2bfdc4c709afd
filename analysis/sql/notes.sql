-- Remarks for people: info, warning, alarm.
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.level' AS level, body->>'$.text' AS text,
       key AS client_order_id, cause
FROM journal
WHERE kind = 'NOTE'

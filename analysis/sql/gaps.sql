-- Times in which market data may have been missed, and why; to_time is NULL where that lasted to the session's end.
SELECT session, seq, instant(from_ns) AS from_time, instant(to_ns) AS to_time, to_ns - from_ns AS duration_ns, source, stream, instrument,
       reason, from_ns, to_ns, from_seq, to_seq, last_id, first_id, if(first_id <= last_id, 0, first_id - last_id - 1) AS missing
FROM (
    SELECT session, seq, body->>'$.link' AS source, body->>'$.stream' AS stream, body->>'$.instrument' AS instrument,
           body->>'$.reason' AS reason, CAST(body->>'$.from_ns' AS BIGINT) AS from_ns, CAST(body->>'$.to_ns' AS BIGINT) AS to_ns,
           nullif(CAST(body->>'$.from_seq' AS BIGINT), -1) AS from_seq, CAST(body->>'$.to_seq' AS BIGINT) AS to_seq,
           CAST(body->>'$.last_id' AS BIGINT) AS last_id, CAST(body->>'$.first_id' AS BIGINT) AS first_id,
           max(seq) OVER (PARTITION BY session, if(body->>'$.stream' IS NULL AND body->>'$.to_ns' IS NOT NULL, cause, seq)) AS last_told
    FROM journal
    WHERE kind = 'FACT' AND body->>'$.fact' = 'market_gap'
)
WHERE seq = last_told
ORDER BY session, seq

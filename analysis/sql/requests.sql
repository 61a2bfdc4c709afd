-- What we asked of venues: purpose, the record that answered it, how it ended and how long it took.
WITH answers AS (
    SELECT session, cause AS request_seq, seq, time_ns, meta->>'$.outcome' AS outcome,
           TRY_CAST(meta->>'$.status' AS INTEGER) AS status, TRY_CAST(meta->>'$.sent_ns' AS BIGINT) AS sent_ns,
           meta->>'$.error' AS error, as_json(wire(payload)) AS answer
    FROM journal
    WHERE kind IN ('BROKER', 'FEED') AND meta IS NOT NULL AND cause IS NOT NULL
    UNION ALL
    SELECT session, cause, seq, time_ns, body->>'$.state', NULL, NULL, nullif(body->>'$.reason', ''), NULL  -- of connect
    FROM journal
    WHERE kind = 'LINK' AND cause IS NOT NULL
), firsts AS (
    FROM answers
    QUALIFY row_number() OVER (PARTITION BY session, request_seq ORDER BY seq) = 1
), ready AS (  -- a subscription is answered on its own link, by the frame behind link_ready
    SELECT session, body->>'$.source' AS source, cause AS seq, time_ns
    FROM journal
    WHERE kind = 'FACT' AND body->>'$.fact' = 'link_ready'
), asked AS (
    SELECT session, seq, time_ns, cause, body, body->>'$.purpose' AS purpose, body->>'$.source' AS link_source
    FROM journal
    WHERE kind = 'REQUEST'
), subscribed AS (
    SELECT asked.session, asked.seq AS request_seq, ready.seq, ready.time_ns
    FROM asked ASOF JOIN ready
      ON asked.session = ready.session AND asked.link_source = ready.source AND asked.seq < ready.seq
    WHERE asked.purpose = 'subscribe'
)
SELECT asked.session, asked.seq, instant(asked.time_ns) AS time, asked.time_ns, asked.purpose, asked.body->>'$.venue' AS venue,
       CAST(asked.body->>'$.mutates' AS BOOLEAN) AS mutates, asked.body->>'$.client_order_id' AS client_order_id,
       asked.body->>'$.strategy' AS strategy, asked.body->>'$.instrument' AS instrument, asked.link_source AS source,
       coalesce(firsts.outcome, if(subscribed.seq IS NULL, NULL, 'answer')) AS outcome, firsts.status,
       TRY_CAST(if(firsts.status >= 400, firsts.answer->>'$.code', NULL) AS BIGINT) AS venue_code,
       coalesce(firsts.error, if(firsts.status >= 400, firsts.answer->>'$.msg', NULL)) AS error,
       coalesce(firsts.seq, subscribed.seq) AS answer_seq, firsts.sent_ns,
       coalesce(firsts.time_ns, subscribed.time_ns) AS answered_ns,
       coalesce(firsts.time_ns, subscribed.time_ns) - coalesce(firsts.sent_ns, asked.time_ns) AS latency_ns,
       coalesce(asked.body->>'$.unsigned.method', 'CONNECT') AS method,
       coalesce(asked.body->>'$.unsigned.path', asked.body->>'$.link.path') AS path,
       CAST(asked.body->'$.unsigned.params' AS JSON) AS params, TRY_CAST(asked.body->>'$.unsigned.weight' AS INTEGER) AS weight,
       coalesce(TRY_CAST(asked.body->>'$.round' AS INTEGER), 0) AS round,
       CAST(asked.body->>'$.expires_ns' AS BIGINT) AS expires_ns, asked.cause
FROM asked
LEFT JOIN firsts ON firsts.session = asked.session AND firsts.request_seq = asked.seq
LEFT JOIN subscribed ON subscribed.session = asked.session AND subscribed.request_seq = asked.seq
ORDER BY asked.session, asked.seq

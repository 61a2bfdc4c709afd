-- Requests to venues: purpose, the record that answered it, how it ended and how long it took.
WITH answers AS (
    SELECT session, cause AS request_seq, seq, time_ns, meta->>'$.outcome' AS outcome,
           TRY_CAST(meta->>'$.status' AS INTEGER) AS status, TRY_CAST(meta->>'$.sent_ns' AS BIGINT) AS sent_ns,
           meta->>'$.error' AS error, source, meta->>'$.headers' AS headers, payload
    FROM journal
    WHERE kind IN ('BROKER', 'FEED') AND meta IS NOT NULL AND cause IS NOT NULL
    UNION ALL
    SELECT session, cause, seq, time_ns, body->>'$.state', NULL, NULL, nullif(body->>'$.reason', ''), NULL, NULL, NULL  -- of connect
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
), ended AS (  -- a refusal's code and words are the venue's, as its codec reads them: the HTTP status may be 200
    SELECT asked.*, firsts.outcome, firsts.status, firsts.sent_ns, firsts.error, firsts.seq AS answer_seq, firsts.time_ns AS answer_ns,
           CASE WHEN firsts.outcome = 'answer' AND (firsts.status >= 400 OR asked.purpose <> 'depth') THEN
               refusal(asked.session, firsts.source, CAST(asked.body AS VARCHAR), firsts.status, firsts.headers, firsts.payload)
           END AS refused
    FROM asked
    LEFT JOIN firsts ON firsts.session = asked.session AND firsts.request_seq = asked.seq
)
SELECT ended.session, ended.seq, instant(ended.time_ns) AS time, ended.time_ns, ended.purpose, ended.body->>'$.venue' AS venue,
       CAST(ended.body->>'$.mutates' AS BOOLEAN) AS mutates, ended.body->>'$.client_order_id' AS client_order_id,
       ended.body->>'$.strategy' AS strategy, ended.body->>'$.instrument' AS instrument, ended.link_source AS source,
       coalesce(ended.outcome, if(subscribed.seq IS NULL, NULL, 'answer')) AS outcome, ended.status,
       TRY_CAST(ended.refused.code AS BIGINT) AS venue_code, ended.refused.code AS error_code,
       coalesce(ended.error, ended.refused.text) AS error,
       coalesce(ended.answer_seq, subscribed.seq) AS answer_seq, ended.sent_ns,
       coalesce(ended.answer_ns, subscribed.time_ns) AS answered_ns,
       coalesce(ended.answer_ns, subscribed.time_ns) - coalesce(ended.sent_ns, ended.time_ns) AS latency_ns,
       coalesce(ended.body->>'$.unsigned.method', 'CONNECT') AS method,
       coalesce(ended.body->>'$.unsigned.path', ended.body->>'$.link.path') AS path,
       CAST(ended.body->'$.unsigned.params' AS JSON) AS params, TRY_CAST(ended.body->>'$.unsigned.weight' AS INTEGER) AS weight,
       coalesce(TRY_CAST(ended.body->>'$.round' AS INTEGER), 0) AS round,
       CAST(ended.body->>'$.expires_ns' AS BIGINT) AS expires_ns, ended.cause
FROM ended
LEFT JOIN subscribed ON subscribed.session = ended.session AND subscribed.request_seq = ended.seq
ORDER BY ended.session, ended.seq

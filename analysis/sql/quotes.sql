-- Best bid and ask as received (Binance bookTicker, in an envelope or bare), in order of arrival.
WITH frames AS (
    SELECT session, seq, time_ns, recv_ns, source, as_json(wire(payload)) AS frame
    FROM journal
    WHERE kind = 'FEED' AND meta IS NULL AND payload IS NOT NULL
), fields AS (
    SELECT * EXCLUDE (frame),
           json_extract_string(coalesce(frame->'$.data', frame), ['$.e', '$.s', '$.b', '$.B', '$.a', '$.A', '$.u']) AS field
    FROM frames
)
SELECT session, seq, instant(time_ns) AS time, time_ns, recv_ns, split_part(source, '.', 1) || ':' || field[2] AS instrument,
       money(field[3]) AS bid, money(field[4]) AS bid_size, money(field[5]) AS ask, money(field[6]) AS ask_size,
       money(field[5]) - money(field[3]) AS spread, TRY_CAST(field[7] AS BIGINT) AS update_id
FROM fields
WHERE coalesce(field[1], 'bookTicker') = 'bookTicker' AND field[2] IS NOT NULL AND field[7] IS NOT NULL
  AND money(field[3]) IS NOT NULL AND money(field[4]) IS NOT NULL
  AND money(field[5]) IS NOT NULL AND money(field[6]) IS NOT NULL

-- The market's trades as received (Binance trade, in an envelope or bare); side is the taker's.
WITH frames AS (
    SELECT session, seq, time_ns, recv_ns, source, as_json(wire(payload)) AS frame
    FROM journal
    WHERE kind = 'FEED' AND meta IS NULL AND payload IS NOT NULL
), fields AS (
    SELECT * EXCLUDE (frame),
           json_extract_string(coalesce(frame->'$.data', frame), ['$.e', '$.s', '$.p', '$.q', '$.t', '$.T', '$.m']) AS field
    FROM frames
), typed AS (
    SELECT *, TRY_CAST(field[6] AS BIGINT) AS venue_time
    FROM fields
    WHERE field[1] = 'trade' AND money(field[3]) IS NOT NULL AND money(field[4]) IS NOT NULL
)
SELECT session, seq, instant(time_ns) AS time, time_ns, recv_ns, split_part(source, '.', 1) || ':' || field[2] AS instrument,
       CASE field[7] WHEN 'true' THEN 'SELL' ELSE 'BUY' END AS side,  -- m: the buyer was the maker
       money(field[3]) AS price, money(field[4]) AS quantity, TRY_CAST(field[5] AS BIGINT) AS trade_id,
       -- milliseconds, or microseconds where the stream was asked for them (later than the year 2261 in milliseconds)
       venue_time * CASE WHEN venue_time > 9200000000000 THEN 1000 ELSE 1000000 END AS venue_ns
FROM typed

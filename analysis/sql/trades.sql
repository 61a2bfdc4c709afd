-- The market's trades as decoded, each once, in order of arrival; side is the taker's.
WITH decoded AS (
    SELECT session, seq, time_ns, recv_ns, unnest(trade_rows(session, seq)) AS trade
    FROM journal
    WHERE kind = 'FEED' AND (meta IS NULL OR key IS NOT NULL)  -- streamed, or polled
)
SELECT session, seq, instant(time_ns) AS time, time_ns, recv_ns, trade.instrument AS instrument,
       CASE trade.d WHEN 1 THEN 'SELL' ELSE 'BUY' END AS side,  -- 1: the buyer was the maker
       at_unit(trade.a, trade.price_unit) AS price, at_unit(trade.b, trade.size_unit) AS quantity, trade.c AS trade_id,
       trade.venue_ns AS venue_ns
FROM decoded

-- Best bid and ask as decoded, in order of arrival.
WITH decoded AS (
    SELECT session, seq, time_ns, recv_ns, unnest(quote_rows(session, seq)) AS quote
    FROM journal
    WHERE kind = 'FEED' AND (meta IS NULL OR key IS NOT NULL)  -- streamed, or polled
)
SELECT session, seq, instant(time_ns) AS time, time_ns, recv_ns, quote.instrument AS instrument,
       at_unit(quote.a, quote.price_unit) AS bid, at_unit(quote.b, quote.size_unit) AS bid_size,
       at_unit(quote.c, quote.price_unit) AS ask, at_unit(quote.d, quote.size_unit) AS ask_size,
       at_unit(quote.c - quote.a, quote.price_unit) AS spread, quote.e AS update_id
FROM decoded

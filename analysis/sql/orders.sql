-- One row an order with its last status. origin: placed here, adopted from the venue, or carried from the session before.
-- quantity and price: as they were last amended.
-- list_id: our id of the order list that it belongs to, '' for none.
-- type FOREIGN: another program's order of a type that the engine does not have; venue_type is the venue's name for it.
-- quantity of an order by quote_quantity: the most that risk counted with. protected_by: the holder of an open stop;
-- NULL for an exit that waits for its list's entry (engine/state/protection.py has the same rule).
WITH opening AS (
    SELECT session, seq, body FROM journal WHERE kind = 'SESSION'
), carried AS (
    SELECT session, seq, value FROM opening, json_each(opening.body, '$.opening.account.orders.live')
    UNION ALL
    SELECT session, seq, value FROM opening, json_each(opening.body, '$.opening.account.orders.closed')
), carried_plans AS (
    SELECT session, value->>'$.plan_id' AS plan_id, unnest(CAST(value->'$.orders' AS VARCHAR[])) AS client_order_id
    FROM opening, json_each(opening.body, '$.opening.account.plans.running')
), begun AS (
    SELECT session, seq, time_ns, body->>'$.client_order_id' AS client_order_id, body->>'$.strategy' AS strategy,
           body->'$.order' AS wish, 'placed' AS origin, seq AS request_seq, cause AS verdict_seq, 'pending' AS status,
           '' AS venue_order_id, money('0') AS filled, money('0') AS notional, 0 AS fills, '' AS reason,
           '' AS list_id, '' AS waits_for, body->>'$.plan_id' AS plan_id
    FROM journal
    WHERE kind = 'REQUEST' AND body->>'$.purpose' = 'place'
    UNION ALL
    SELECT session, seq, time_ns, leg.value->>'$.client_order_id', body->>'$.strategy', leg.value->'$.order', 'placed', seq,
           cause, 'pending', '', money('0'), money('0'), 0, '', body->>'$.client_order_id',
           coalesce(leg.value->>'$.waits_for', ''), body->>'$.plan_id'
    FROM journal, json_each(journal.body, '$.legs') AS leg
    WHERE kind = 'REQUEST' AND body->>'$.purpose' = 'place_list'
    UNION ALL
    SELECT session, seq, time_ns, body->>'$.client_order_id', 'external', body->'$.order', 'adopted', NULL, NULL, 'open',
           body->>'$.venue_order_id', money('0'), money('0'), 0, '', '', '', NULL
    FROM journal
    WHERE kind = 'FACT' AND body->>'$.fact' = 'order_adopted'
    UNION ALL
    SELECT carried.session, seq, CAST(value->>'$.created_ns' AS BIGINT), value->>'$.client_order_id', value->>'$.strategy',
           value->'$.order', 'carried', NULL, NULL, value->>'$.status', value->>'$.venue_order_id',
           money(value->>'$.filled_quantity'), money(value->>'$.filled_notional'),
           CAST(json_array_length(value, '$.fill_ids') AS INTEGER), value->>'$.reason', coalesce(value->>'$.list_id', ''),
           coalesce(value->>'$.waits_for', ''), carried_plans.plan_id
    FROM carried
    LEFT JOIN carried_plans ON carried_plans.session = carried.session
                           AND carried_plans.client_order_id = carried.value->>'$.client_order_id'
), filled AS (
    SELECT session, client_order_id, sum(quantity) AS quantity, sum(notional) AS notional, count(*) AS fills
    FROM fills
    GROUP BY ALL
), told AS (
    SELECT session, seq, time_ns, fact, body->>'$.client_order_id' AS client_order_id, body->>'$.status' AS status,
           nullif(coalesce(body->>'$.reason', body->>'$.outcome'), '') AS reason,
           nullif(body->>'$.venue_order_id', '') AS venue_order_id
    FROM facts
    WHERE fact IN ('order_accepted', 'order_filled', 'order_closed', 'order_unknown', 'order_not_placed', 'cancel_settled',
                   'order_triggered')
), learnt AS (
    SELECT session, client_order_id, max(seq) AS last_seq, max(time_ns) AS updated_ns,
           min_by(venue_order_id, seq) FILTER (venue_order_id IS NOT NULL) AS venue_order_id,
           max_by(reason, seq) FILTER (reason IS NOT NULL) AS reason,
           min_by(status, seq) FILTER (status IN ('canceled', 'expired')) AS closed_as,
           coalesce(bool_or(status = 'full_fill'), false) AS filled_whole,
           coalesce(bool_or(fact = 'order_accepted'), false) AS accepted, -- also after a rejection: what costs money wins
           coalesce(bool_or(fact = 'order_triggered'), false) AS triggered,
           coalesce(bool_or(status = 'rejected'), false) AS rejected,
           coalesce(bool_or(fact = 'order_unknown'), false) AS unknown,
           coalesce(bool_or(fact = 'order_not_placed'), false) AS not_placed
    FROM told
    GROUP BY ALL
), amended AS (
    SELECT session, body->>'$.client_order_id' AS client_order_id, max_by(money(body->>'$.quantity'), seq) AS quantity,
           max_by(nullif(money(body->>'$.price'), 0), seq) AS price
    FROM facts
    WHERE fact = 'order_amended'
    GROUP BY ALL
), summed AS (
    SELECT begun.*, learnt.* EXCLUDE (session, client_order_id, venue_order_id, reason),
           coalesce(amended.quantity, money(wish->>'$.quantity')) AS quantity,
           coalesce(amended.price, limit_price(wish)) AS price, money(wish->>'$.quote_quantity') AS quote_quantity,
           begun.filled + coalesce(filled.quantity, 0) AS filled_quantity,
           begun.notional + coalesce(filled.notional, 0) AS filled_notional,
           begun.fills + coalesce(filled.fills, 0) AS fill_count,
           coalesce(learnt.venue_order_id, nullif(begun.venue_order_id, '')) AS known_venue_order_id,
           coalesce(learnt.reason, nullif(begun.reason, '')) AS last_reason
    FROM begun
    LEFT JOIN learnt ON learnt.session = begun.session AND learnt.client_order_id = begun.client_order_id
    LEFT JOIN filled ON filled.session = begun.session AND filled.client_order_id = begun.client_order_id
    LEFT JOIN amended ON amended.session = begun.session AND amended.client_order_id = begun.client_order_id
), ended AS (
-- The status as engine/lifecycle.py's table leads to it; most of its arrows end the matter, so the first that holds wins.
    SELECT *,
           CASE
               WHEN filled_whole OR (filled_quantity >= quantity AND quote_quantity IS NULL) THEN 'filled'
               WHEN status IN ('filled', 'canceled', 'expired') THEN status
               WHEN closed_as IS NOT NULL THEN closed_as
               WHEN filled_quantity > 0 THEN 'partially_filled'
               WHEN triggered OR status = 'triggered' THEN 'triggered'
               WHEN accepted OR status = 'open' THEN 'open'
               WHEN rejected OR status = 'rejected' THEN 'rejected'
               WHEN not_placed OR status = 'not_placed' THEN 'not_placed'
               WHEN unknown THEN 'unknown'
               ELSE status
           END AS last_status
    FROM summed
)
SELECT session, client_order_id, known_venue_order_id AS venue_order_id, strategy, wish->>'$.instrument' AS instrument,
       wish->>'$.side' AS side, wish->>'$.type' AS type, wish->>'$.time_in_force' AS time_in_force, quantity,
       price, money(wish->>'$.stop_price') AS stop_price, wish->>'$.venue_type' AS venue_type,
       last_status AS status,
       filled_quantity, ratio(filled_notional, filled_quantity) AS price_avg, fill_count AS fills, last_reason AS reason,
       instant(time_ns) AS created, time_ns AS created_ns, instant(coalesce(updated_ns, time_ns)) AS updated,
       coalesce(updated_ns, time_ns) AS updated_ns, origin, request_seq, verdict_seq, coalesce(last_seq, seq) AS last_seq,
       TRY_CAST(wish->>'$.trailing_delta' AS INTEGER) AS trailing_delta, money(wish->>'$.iceberg_quantity') AS iceberg_quantity,
       quote_quantity, TRY_CAST(wish->>'$.good_till_ns' AS BIGINT) AS good_till_ns, nullif(plan_id, '') AS plan_id, list_id,
       CASE WHEN is_stop(wish->>'$.type') AND last_status IN ('open', 'triggered', 'partially_filled')
                 AND (session, waits_for) NOT IN (SELECT (session, client_order_id) FROM ended
                     WHERE last_status IN ('pending', 'open', 'triggered', 'partially_filled', 'unknown')) THEN 'venue'
       END AS protected_by
FROM ended
ORDER BY session, created_ns, client_order_id

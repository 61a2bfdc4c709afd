-- The views of `verbatim sql` over the Parquet files of sealed sessions, for DuckDB without Verbatim.
--
--   duckdb -cmd "SET VARIABLE journals = 'journals/*/*.parquet'" -init plain_parquet.sql
--   or in any client: SET VARIABLE journals = '...'; then run this file.
--
-- The path may be a list, and an address such as s3://bucket/folder/*/*.parquet with the extension httpfs.
-- Records that no sealed file has yet (the *.open file of a running or killed session) are missing.
-- quotes and trades need the decoders of venues: `verbatim export SESSION FOLDER` writes them as Parquet files.
-- The market's messages are in the view `feed`, as the venue sent them: FROM feed SELECT text->>'$.data.b'.
-- Made by `python -m analysis.plain_sql`; tests/test_plain_parquet.py runs it.

CREATE OR REPLACE MACRO money(text) AS TRY_CAST(text AS DECIMAL(38, 18));

CREATE OR REPLACE MACRO at_unit(count, unit) AS CAST(count AS DECIMAL(19, 0)) * unit;

CREATE OR REPLACE MACRO instant(ns) AS make_timestamp(ns // 1000);

CREATE OR REPLACE MACRO wire(payload) AS TRY(decode(payload));

CREATE OR REPLACE MACRO as_json(text) AS TRY_CAST(text AS JSON);

CREATE OR REPLACE MACRO product(a, b) AS TRY(CAST(CAST(a AS DECIMAL(38, 12)) * CAST(b AS DECIMAL(38, 12)) AS DECIMAL(38, 18)));

CREATE OR REPLACE MACRO _units(a) AS CAST(CAST(a AS DECIMAL(38, 12)) * 1000000000000 AS HUGEINT);

CREATE OR REPLACE MACRO _rest(n, d) AS CAST((n % d) * 1000000000000 // d AS DECIMAL(18, 0)) * CAST('0.000000000001' AS DECIMAL(12, 12));

CREATE OR REPLACE MACRO _ratio(n, d) AS CAST(n // d AS DECIMAL(38, 18)) + _rest(n, d);

CREATE OR REPLACE MACRO ratio(a, b) AS TRY(CAST(_ratio(_units(a), _units(b)) AS DECIMAL(38, 18)));

CREATE OR REPLACE MACRO _price_or_null(type, price) AS CASE WHEN list_contains(['MARKET', 'STOP', 'TAKE_PROFIT'], type) OR (list_contains(['FOREIGN'], type) AND price = 0) THEN NULL ELSE price END;

CREATE OR REPLACE MACRO is_stop(type) AS list_contains(['STOP', 'STOP_LIMIT', 'TAKE_PROFIT', 'TAKE_PROFIT_LIMIT'], type);

CREATE OR REPLACE MACRO limit_price(o) AS _price_or_null(o->>'$.type', money(o->>'$.price'));

CREATE OR REPLACE MACRO refusal(session, source, request, status, headers, payload) AS CAST(NULL AS STRUCT(code VARCHAR, text VARCHAR));

-- The id of a session is the end of its folder's name; other folders count by their whole name.
CREATE OR REPLACE VIEW journal AS
SELECT coalesce(nullif(regexp_extract(filename, '-([a-z2-7]{8})/[^/]+$', 1), ''),
                regexp_extract(filename, '([^/]+)/[^/]+$', 1)) AS session,
       seq, time_ns, recv_ns, kind, source, cause, key, meta, payload, body
FROM read_parquet(getvariable('journals'), filename = true);

-- The market's messages as the venue sent them, as JSON where they are JSON.
CREATE OR REPLACE VIEW feed AS
SELECT session, seq, instant(time_ns) AS time, time_ns, recv_ns, source, as_json(wire(payload)) AS text
FROM journal
WHERE kind = 'FEED' AND meta IS NULL;

-- Balances at each change; is_last marks the newest. query_seq: the request that the balance answers, NULL if it was streamed.
CREATE OR REPLACE VIEW balances AS
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.asset' AS asset, money(body->>'$.free') AS free,
       money(body->>'$.locked') AS locked,
       TRY_CAST(coalesce(body->>'$.query_seq', body->>'$.asked_seq') AS BIGINT) AS query_seq, cause,
       row_number() OVER (PARTITION BY session, body->>'$.asset' ORDER BY seq DESC) = 1 AS is_last
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'balance'
ORDER BY session, seq;

-- Every FACT by its tag, under today's name; body holds its fields as recorded.
CREATE OR REPLACE VIEW facts AS
SELECT session, seq, instant(time_ns) AS time, time_ns,
       if(body->>'$.fact' = 'strategy_woken', 'strategy_triggered', body->>'$.fact') AS fact, key AS client_order_id, source, cause,
       CAST(body AS JSON) AS body
FROM journal
WHERE kind = 'FACT';

-- Executions of our own orders, each booked once.
CREATE OR REPLACE VIEW fills AS
WITH filled AS (  -- a body is parsed once, not once a column
    SELECT session, seq, time_ns, cause, json_transform(body, '{"client_order_id": "VARCHAR", "strategy": "VARCHAR",
           "instrument": "VARCHAR", "side": "VARCHAR", "price": "VARCHAR", "quantity": "VARCHAR", "fee": "VARCHAR",
           "fee_asset": "VARCHAR", "maker": "BOOLEAN", "late": "BOOLEAN", "fill_id": "VARCHAR", "venue_order_id": "VARCHAR",
           "venue_ns": "BIGINT"}') AS fact
    FROM journal
    WHERE kind = 'FACT' AND body->>'$.fact' = 'order_filled'
), valued AS (
    SELECT *, money(fact.price) AS price, money(fact.quantity) AS quantity FROM filled
)
SELECT session, seq, instant(time_ns) AS time, time_ns, fact.client_order_id AS client_order_id, fact.strategy AS strategy,
       fact.instrument AS instrument, fact.side AS side, price, quantity, product(price, quantity) AS notional,
       money(fact.fee) AS fee, fact.fee_asset AS fee_asset, fact.maker AS maker, fact.late AS late, fact.fill_id AS fill_id,
       fact.venue_order_id AS venue_order_id, fact.venue_ns AS venue_ns, cause
FROM valued;

-- Fundings of contracts by strategy: amount received (negative: paid) for a quantity held, by the funding's rate and mark price. due is when the venue settled it; rate and mark are NULL if the venue stated the amount alone. report_rate is that of the asset in the reporting currency; NULL: the same asset, or not known.
CREATE OR REPLACE VIEW fundings AS
SELECT session, seq, instant(time_ns) AS time, time_ns, instant(CAST(body->>'$.venue_ns' AS BIGINT)) AS due,
       body->>'$.strategy' AS strategy, body->>'$.instrument' AS instrument, body->>'$.asset' AS asset,
       money(body->>'$.amount') AS amount, money(body->>'$.quantity') AS quantity,
       nullif(money(body->>'$.rate'), 0) AS rate, nullif(money(body->>'$.mark'), 0) AS mark,
       nullif(money(body->>'$.report_rate'), 0) AS report_rate
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'funding_paid'
ORDER BY session, seq;

-- Times in which market data may have been missed, and why; to_time is NULL where that lasted to the session's end.
CREATE OR REPLACE VIEW gaps AS
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
ORDER BY session, seq;

-- The registry of a session: own symbol and venue symbol of each instrument, its decimals, grids, bounds and multiplier, as they were when the session began.
CREATE OR REPLACE VIEW instruments AS
SELECT session, seq, each->>'$.id' AS instrument, coalesce(nullif(each->>'$.own_symbol', ''), each->>'$.symbol') AS own_symbol,
       each->>'$.symbol' AS venue_symbol, each->>'$.venue' AS venue, each->>'$.base' AS base, each->>'$.quote' AS quote,
       TRY_CAST(each->>'$.price_scale' AS INTEGER) AS price_decimals, TRY_CAST(each->>'$.size_scale' AS INTEGER) AS quantity_decimals,
       money(each->>'$.tick_size') AS tick_size, money(each->>'$.lot_size') AS lot_size,
       money(each->>'$.quantity_min') AS quantity_min, money(each->>'$.notional_min') AS notional_min,
       coalesce(money(each->>'$.contract_size'), money('1')) AS multiplier,
       coalesce(TRY_CAST(each->>'$.inverse' AS BOOLEAN), false) AS inverse,
       nullif(each->>'$.contract', '') AS contract, nullif(each->>'$.margin', '') AS margin
FROM (
    SELECT session, seq, unnest(CAST(body->'$.instruments' AS JSON[])) AS each
    FROM journal
    WHERE kind = 'SESSION'
)
ORDER BY session, instrument;

-- Intents of strategies, each with the rationale that it was decided on. Journals of schema 2 call it `because`.
CREATE OR REPLACE VIEW intents AS
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.intent' AS intent, body->>'$.strategy' AS strategy,
       body->>'$.version' AS version, key AS client_order_id, body->>'$.order.instrument' AS instrument,
       body->>'$.order.side' AS side, body->>'$.order.type' AS type, money(body->>'$.order.quantity') AS quantity,
       limit_price(body->'$.order') AS price,
       body->>'$.order.time_in_force' AS time_in_force, money(body->>'$.order.quote_quantity') AS quote_quantity,
       nullif(body->>'$.plan_id', '') AS plan_id, coalesce(CAST(body->'$.rationale' AS JSON), CAST(body->'$.because' AS JSON), '{}'::JSON) AS rationale,
       TRY_CAST(coalesce(body->>'$.rationale.quote_seq', body->>'$.because.quote_seq') AS BIGINT) AS quote_seq, cause
FROM journal
WHERE kind = 'INTENT';

-- Connections going up and down, the clock's drift (source clock), our lateness (ingress), slow decisions (decisions).
CREATE OR REPLACE VIEW links AS
SELECT session, seq, instant(time_ns) AS time, time_ns, source, body->>'$.state' AS state, nullif(body->>'$.reason', '') AS reason,
       TRY_CAST(body->>'$.drift_ns' AS BIGINT) AS drift_ns, cause,
       TRY_CAST(body->>'$.age_ns' AS BIGINT) AS age_ns, TRY_CAST(body->>'$.waiting' AS BIGINT) AS waiting,
       nullif(body->>'$.strategy', '') AS strategy, TRY_CAST(body->>'$.spent_ns' AS BIGINT) AS spent_ns
FROM journal
WHERE kind = 'LINK';

-- The engine's modes, the reasons for each and how long it stayed (NULL: to this day). `codes` is empty for journals of schema 2.
CREATE OR REPLACE VIEW modes AS
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.mode' AS mode,
       CAST(if(len(body->'$.reasons[*].text') = 0, body->'$.reasons', to_json(body->'$.reasons[*].text')) AS JSON) AS reasons,
       CAST(to_json(body->'$.reasons[*].code') AS JSON) AS codes,
       lead(time_ns) OVER (PARTITION BY session ORDER BY seq) - time_ns AS stayed_ns, cause
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'mode'
ORDER BY session, seq;

-- Remarks for people: info, warning, alarm.
CREATE OR REPLACE VIEW notes AS
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.level' AS level, body->>'$.text' AS text,
       key AS client_order_id, cause
FROM journal
WHERE kind = 'NOTE';

-- P&L as reported from time to time and at the end, in the asset of the instrument's P&L; net is after fees and with funding, except fees_unvalued, whose rate is not known. report_rate is that of the asset in the reporting currency; NULL: the same asset, or not known. is_marked is false without a quote, has_funding if fundings follow mark prices and none came. is_last marks the latest.
CREATE OR REPLACE VIEW pnl AS
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.strategy' AS strategy, body->>'$.instrument' AS instrument,
       money(body->>'$.quantity') AS quantity, money(body->>'$.mark') AS mark,
       money(body->>'$.realised_pnl') AS realised_pnl, money(body->>'$.unrealised_pnl') AS unrealised_pnl,
       money(body->>'$.fees_quote') AS fees_quote,
       money(body->>'$.realised_pnl') + money(body->>'$.unrealised_pnl') + coalesce(money(body->>'$.funding'), 0) - money(body->>'$.fees_quote') AS net_pnl,
       row_number() OVER (PARTITION BY session, body->>'$.strategy', body->>'$.instrument' ORDER BY seq DESC) = 1 AS is_last,
       body->'$.fees_unvalued' AS fees_unvalued, coalesce(body->>'$.is_marked', 'true') = 'true' AS is_marked,
       coalesce(money(body->>'$.funding'), 0) AS funding, body->>'$.asset' AS asset, money(body->>'$.report_rate') AS report_rate,
       coalesce(body->>'$.has_funding', 'true') = 'true' AS has_funding
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'pnl'
ORDER BY session, seq;

-- P&L of all strategies and the account's equity in the reporting currency, as reported from time to time and at the end; total is after fees and with funding. missing and unrated name what the sums lack. is_last marks the latest.
CREATE OR REPLACE VIEW portfolio AS
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.currency' AS currency, body->>'$.mark' AS mark,
       money(body->>'$.realised') AS realised, money(body->>'$.unrealised') AS unrealised, money(body->>'$.fees') AS fees,
       money(body->>'$.funding') AS funding,
       money(body->>'$.realised') + money(body->>'$.unrealised') + money(body->>'$.funding') - money(body->>'$.fees') AS total,
       money(body->>'$.equity') AS equity, body->'$.missing' AS missing, body->'$.unrated' AS unrated,
       row_number() OVER (PARTITION BY session ORDER BY seq DESC) = 1 AS is_last
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'portfolio_pnl'
ORDER BY session, seq;

-- A strategy's position after each fill, by average cost; is_last marks the current one.
CREATE OR REPLACE VIEW positions AS
SELECT session, seq, instant(time_ns) AS time, time_ns, body->>'$.strategy' AS strategy, body->>'$.instrument' AS instrument,
       money(body->>'$.quantity') AS quantity, money(body->>'$.price_avg') AS price_avg,
       money(body->>'$.realised_pnl') AS realised_pnl, money(body->>'$.fees_quote') AS fees_quote,
       CAST(body->'$.fees' AS JSON) AS fees, key AS client_order_id, cause AS fill_seq,
       row_number() OVER (PARTITION BY session, body->>'$.strategy', body->>'$.instrument' ORDER BY seq DESC) = 1 AS is_last
FROM journal
WHERE kind = 'FACT' AND body->>'$.fact' = 'position'
ORDER BY session, seq;

-- Every record, with its time as TIMESTAMP and its text: our own body, or the wire's bytes where they are UTF-8.
CREATE OR REPLACE VIEW records AS
SELECT session, seq, instant(time_ns) AS time, time_ns, recv_ns, kind, source, cause, key, meta,
       coalesce(body, wire(payload)) AS text, payload, body
FROM journal;

-- Requests to venues: purpose, the record that answered it, how it ended and how long it took.
CREATE OR REPLACE VIEW requests AS
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
ORDER BY ended.session, ended.seq;

-- Risk's verdict on each intent: the objections, the first one, and for each limit [used without the order, limit, used with it]. Older sessions list every rule, '' means no objection.
CREATE OR REPLACE VIEW verdicts AS
WITH said AS (
    SELECT *, list_filter(map_entries(json_transform(body->'$.rules', '"MAP(VARCHAR, VARCHAR)"')),
                          lambda answer: answer.value <> '')[1] AS first_objection
    FROM journal
    WHERE kind = 'VERDICT'
)
SELECT session, seq, instant(time_ns) AS time, time_ns, key AS client_order_id, CAST(body->>'$.approved' AS BOOLEAN) AS approved,
       first_objection.key AS rule, first_objection.value AS objection, CAST(body->'$.rules' AS JSON) AS rules, CAST(coalesce(body->'$.figures', '{}') AS JSON) AS figures,
       cause AS intent_seq
FROM said;

-- One row an order with its last status. origin: placed here, adopted from the venue, or carried from the session before.
CREATE OR REPLACE VIEW orders AS
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
ORDER BY session, created_ns, client_order_id;

-- Execution plans, one row each. protected_by: the holder of the stop of a bracket, an Oco or a Trail that runs.
CREATE OR REPLACE VIEW plans AS
WITH opening AS (
    SELECT session, seq, body FROM journal WHERE kind = 'SESSION'
), begun AS (
    SELECT session, seq, time_ns, body->>'$.plan_id' AS plan_id, body->>'$.strategy' AS strategy, body->'$.terms' AS terms,
           'started' AS origin, 'working' AS phase
    FROM journal
    WHERE kind = 'FACT' AND body->>'$.fact' = 'plan_started'
    UNION ALL
    SELECT session, seq, CAST(value->>'$.started_ns' AS BIGINT), value->>'$.plan_id', value->>'$.strategy', value->'$.terms',
           'carried', value->>'$.phase'
    FROM opening, json_each(opening.body, '$.opening.account.plans.running')
), moved AS (
    SELECT session, body->>'$.plan_id' AS plan_id, max_by(body->>'$.phase', seq) AS phase
    FROM journal
    WHERE kind = 'FACT' AND body->>'$.fact' = 'plan_moved'
    GROUP BY ALL
), ended AS (
    SELECT session, body->>'$.plan_id' AS plan_id, time_ns, body->>'$.reason' AS reason, money(body->>'$.filled') AS filled
    FROM journal
    WHERE kind = 'FACT' AND body->>'$.fact' = 'plan_ended'
), placed AS (
    SELECT session, plan_id, count(*) AS orders, coalesce(bool_or(protected_by = 'venue'), false) AS is_held
    FROM orders
    WHERE plan_id IS NOT NULL
    GROUP BY ALL
)
SELECT begun.session, begun.plan_id, strategy, terms->>'$.plan' AS plan, terms->>'$.instrument' AS instrument,
       terms->>'$.side' AS side, money(terms->>'$.quantity') AS quantity,
       if(ended.plan_id IS NULL, coalesce(moved.phase, begun.phase), 'ended') AS phase,
       CASE WHEN ended.plan_id IS NULL AND terms->>'$.plan' IN ('bracket', 'oco', 'trail') THEN
           if(coalesce(placed.is_held, false), 'venue', 'engine')
       END AS protected_by,
       coalesce(placed.orders, 0) AS orders, ended.filled, ended.reason, instant(begun.time_ns) AS started,
       begun.time_ns AS started_ns, instant(ended.time_ns) AS ended, ended.time_ns AS ended_ns, CAST(terms AS JSON) AS terms,
       begun.origin, begun.seq
FROM begun
LEFT JOIN moved ON moved.session = begun.session AND moved.plan_id = begun.plan_id
LEFT JOIN ended ON ended.session = begun.session AND ended.plan_id = begun.plan_id
LEFT JOIN placed ON placed.session = begun.session AND placed.plan_id = begun.plan_id
ORDER BY begun.session, begun.time_ns, begun.plan_id;

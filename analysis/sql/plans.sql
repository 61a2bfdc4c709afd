-- Execution plans, one row each. protected_by: the holder of the stop of a bracket, an Oco or a Trail that runs.
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
ORDER BY begun.session, begun.time_ns, begun.plan_id

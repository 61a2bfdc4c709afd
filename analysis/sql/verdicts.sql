-- Risk's verdict on each intent: the objections, the first one, and for each limit [used without the order, limit, used with it]. Older sessions list every rule, '' means no objection.
WITH said AS (
    SELECT *, list_filter(map_entries(json_transform(body->'$.rules', '"MAP(VARCHAR, VARCHAR)"')),
                          lambda answer: answer.value <> '')[1] AS first_objection
    FROM journal
    WHERE kind = 'VERDICT'
)
SELECT session, seq, instant(time_ns) AS time, time_ns, key AS client_order_id, CAST(body->>'$.approved' AS BOOLEAN) AS approved,
       first_objection.key AS rule, first_objection.value AS objection, CAST(body->'$.rules' AS JSON) AS rules, CAST(coalesce(body->'$.figures', '{}') AS JSON) AS figures,
       cause AS intent_seq
FROM said

-- Risk's verdict on each intent: every rule's answer, and the first objection ('' in rules means none).
WITH said AS (
    SELECT *, list_filter(map_entries(json_transform(body->'$.rules', '"MAP(VARCHAR, VARCHAR)"')),
                          lambda answer: answer.value <> '')[1] AS first_objection
    FROM journal
    WHERE kind = 'VERDICT'
)
SELECT session, seq, instant(time_ns) AS time, time_ns, key AS client_order_id, CAST(body->>'$.approved' AS BOOLEAN) AS approved,
       first_objection.key AS rule, first_objection.value AS objection, CAST(body->'$.rules' AS JSON) AS rules,
       cause AS intent_seq
FROM said

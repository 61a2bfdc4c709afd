-- Every record, with its time as TIMESTAMP and its text: our own body, or the wire's bytes where they are UTF-8.
SELECT session, seq, instant(time_ns) AS time, time_ns, recv_ns, kind, source, cause, key, meta,
       coalesce(body, wire(payload)) AS text, payload, body
FROM journal

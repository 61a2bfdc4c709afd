// The page as a file: every answer comes from the data in it, which `verbatim report` computed.

import { source, Refused } from "./api.js";
import { start } from "./app.js";

const data = JSON.parse(document.getElementById("report-data").textContent);
const moments = data.moments; // by seq
const name = encodeURIComponent(data.head.id);

const before = (rows, value, key) => {
  let low = 0,
    high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][key] <= value) low = middle + 1;
    else high = middle;
  }
  return rows[Math.max(low - 1, 0)];
};
const moment = (given) =>
  given.seq !== undefined ? before(moments, given.seq, "seq") : before(moments, given.time, "time");
const lacks = (what) => {
  throw new Refused(`${what} is not in this file. What to do: open the session with verbatim cockpit ${data.head.id}`);
};

function columns(found, from, to) {
  const chosen = found.time.map((time, at) => [time, at]).filter(([time]) => time <= to);
  let first = chosen.findIndex(([time]) => time >= from);
  first = first < 0 ? Math.max(chosen.length - 1, 0) : Math.max(first - 1, 0);
  const places = chosen.slice(first).map(([, at]) => at);
  return Object.fromEntries(Object.entries(found).map(([key, values]) => [key, places.map((at) => values[at])]));
}

const ANSWERS = {
  head: () => data.head,
  rail: () => data.rail,
  series: ({ instrument, from, to }) => ({
    from,
    to,
    quotes: columns(data.series[instrument].quotes, from, to),
    trades: columns(data.series[instrument].trades, from, to),
  }),
  plot: ({ instrument, from, to }) => {
    const found = data.plots[instrument];
    return {
      ...found,
      orders: found.orders.filter((row) => row[1] <= to && (row[2] >= from || !row[2])),
      refused: found.refused.filter((row) => row[1] >= from && row[1] <= to),
      fills: found.fills.filter((row) => row[1] >= from && row[1] <= to),
    };
  },
  at: (given) => {
    const found = moment(given);
    return {
      ...found.at,
      seq: given.seq ?? found.at.seq,
      time: given.time ?? data.lines[given.seq]?.time ?? found.at.time,
    };
  },
  state: (given) => moment(given).state || lacks("the engine's state"),
  ladder: (given) => moment(given).ladder?.[given.instrument ?? 0] || lacks("the book"),
  refusals: (given) => moment(given).refusals,
  health: (given) => moment(given).health || data.health,
  next: ({ seq, mark, way }) => {
    const rows = data.marks[mark] || [];
    const found = way === "back" ? rows.filter((row) => row[0] < seq).at(-1) : rows.find((row) => row[0] > seq);
    return found ? { seq: found[0], time: found[1], key: found[2] } : { seq: null, time: null, key: null };
  },
  orders: ({ text = "" }) => {
    const rows = data.orders.rows.filter(
      (row) => !text || [row.id, row.venue_id, row.strategy, row.instrument].some((each) => each.includes(text)),
    );
    return { total: rows.length, rows };
  },
  values: ({ names = "" }) => ({
    names: data.values.names,
    series: Object.fromEntries(
      names
        .split(",")
        .filter((each) => each in data.values.series)
        .map((each) => [each, data.values.series[each]]),
    ),
  }),
  pnl: () => data.pnl || lacks("P&L"),
  summary: () => data.summary || lacks("the summary"),
  why: ({ order }) => data.stories[order] || lacks(`the chain of ${order}`),
  records: ({ seq, kinds = "", text = "" }) => {
    const wanted = kinds ? kinds.split(",") : null;
    const rows = data.records.filter(
      (row) => (!wanted || wanted.includes(row.kind)) && (!text || JSON.stringify(row).includes(text)),
    );
    const at = rows.findIndex((row) => row.seq >= seq),
      middle = at < 0 ? rows.length : at;
    return { seq, last_seq: data.head.last_seq, rows: rows.slice(Math.max(middle - 60, 0), middle + 140) };
  },
  record: ({ seq }) => data.bodies[seq] || lacks(`record ${seq}`),
  heat: () => lacks("the book over time"),
};

source.offline = (path, given) => {
  if (path === "sessions")
    return [
      {
        id: data.head.id,
        folder: data.head.folder,
        is_live: false,
        records: data.head.last_seq + 1,
        start_ns: data.head.origin_ns,
        span: data.head.last_time,
        account: data.head.account,
        strategies: data.head.strategies.map((each) => `${each.name} ${each.version}`),
        instruments: data.head.instruments.map((each) => each.symbol),
        ended: "report",
      },
    ];
  const answer = ANSWERS[path.replace(`s/${name}/`, "")];
  return answer ? answer(given || {}) : lacks("this answer");
};
if (!location.hash) history.replaceState(null, "", `#/s/${name}`);
start();

// G: all orders, with their state at the cursor.

import { cursor, goTo, head, html, of, recordSeq, selectOrder, selected, signal, use, useAnswer } from "./store.js";
import { Table } from "./table.js";
import { at, atSeq, live, when } from "./cursor.js";
import { atTick, fixed, grouped, short, shortId, span, symbol, words } from "./format.js";

const statusAt = (row, seq) => {
  if (seq === null) return row.status;
  if (row.seq > seq) return "later";
  let found = row.origin === "placed" ? "pending" : "open";
  for (const [change, , status] of row.changes) if (change <= seq) found = status;
  return found;
};
const filter = signal("");

export function Orders() {
  const answer = useAnswer(
    () => head.value && { path: of("orders"), parameters: { text: filter.value, limit: 1000 }, again: live() },
    700,
  );
  const chosen = use(selected),
    text = use(filter);
  use(at);
  use(cursor);
  const seq = atSeq(),
    data = answer.value,
    now = cursor.value.time;
  const isLive = (status) => ["open", "pending", "partially_filled", "unknown"].includes(status);
  const ticks = Object.fromEntries(head.value.instruments.map((each) => [each.id, each.tick]));
  const priced = (row, price) => price && short(row.instrument in ticks ? atTick(price, ticks[row.instrument]) : price);
  const columns = [
    {
      name: "placed",
      text: (row) => (row.time || row.origin === "placed" ? when(row.time, 6) : row.origin),
      sort: (row) => row.time,
      width: "118px",
    },
    { name: "strategy", text: (row) => row.strategy },
    { name: "instrument", text: (row) => symbol(row.instrument) },
    { name: "side", text: (row) => row.side, tone: (row) => (row.side === "BUY" ? "buy" : "sell") },
    { name: "quantity", text: (row) => short(row.quantity), right: true },
    { name: "price", text: (row) => priced(row, row.price || row.stop_price) || "market", right: true },
    { name: "filled", text: (row) => (Number(row.filled) ? short(row.filled) : "·"), right: true },
    {
      name: "average",
      text: (row) => (Number(row.filled) ? fixed(Number(row.notional) / Number(row.filled), 4) : ""),
      right: true,
    },
    {
      name: "at cursor",
      text: (row) => words(statusAt(row, seq)),
      tone: (row) => (isLive(statusAt(row, seq)) ? "strong" : statusAt(row, seq) === "later" ? "dim" : ""),
    },
    {
      name: "age",
      text: (row) =>
        row.time <= now && !(seq !== null && row.seq > seq)
          ? span((row.end_time && row.end_time <= now ? row.end_time : now) - row.time)
          : "",
      sort: (row) => (row.end_time || now) - row.time,
      right: true,
    },
    { name: "ended as", text: (row) => (isLive(row.status) ? "" : words(row.status)) },
    { name: "reason", text: (row) => row.reason, tone: () => "dim reason", title: (row) => row.reason },
    {
      name: "id",
      text: (row) => shortId(row.id),
      tone: () => "dim",
      title: (row) => `${row.id}${row.venue_id ? `, venue ${row.venue_id}` : ""}`,
    },
    { name: "terms", text: (row) => row.terms, tone: () => "dim" },
  ];
  return html`<div class="panel-body">
    <div class="tools">
      <input
        type="search"
        placeholder="filter: id, strategy, instrument"
        aria-label="filter orders"
        value=${text}
        onInput=${(event) => (filter.value = event.target.value)}
      />
      <span class="dim">${data ? `${grouped(data.rows.length)} of ${grouped(data.total)}` : ""}</span>
    </div>
    <${Table}
      columns=${columns}
      rows=${data?.rows || []}
      label="orders"
      follow=${seq === null || !data ? -1 : data.rows.findIndex((row) => row.seq <= seq)}
      isChosen=${(row) => row.id === chosen}
      rowClass=${(row) => (seq !== null && row.seq > seq ? "later" : "")}
      onPick=${(row) => {
        selectOrder(row.id);
        recordSeq.value = row.seq || null;
        if (row.seq) goTo(row.seq, row.time);
      }}
      empty=${answer.error || (data ? "no orders" : "…")}
    />
  </div>`;
}

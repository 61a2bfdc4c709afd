// The tables: orders G, records K, P&L H, risk I, health J, ladder D, strategies F, summary M, compare L.

import { batch, compared, cursor, expression, goTo, head, html, instrument, notice, of, recordSeq, selectOrder, selected, seriesNames, session, signal, tick, use, useAnswer, useState, view } from "./store.js";
import { Refused, commandToken, get, post } from "./api.js";
import { Table } from "./table.js";
import { Canvas, drawCursor, drawPriceAxis, drawTimeAxis, xOf, AXIS, LEFT, line } from "./plot.js";
import { RecordBytes } from "./why.js";
import { fixed, grouped, scaled, short, shortId, signed, span, symbol, utc, words } from "./format.js";

const when = (time, digits = 3) => utc(head.value.origin_ns, time, digits);
const live = () => (head.value?.is_live ? tick.value : 0);
const atSeq = () => cursor.value.seq ?? at.value?.seq ?? null;
export const at = signal(null); // the answers about the cursor

export function AtCursor() {
  const answer = useAnswer(() => head.value && { path: of("at"), parameters: cursor.value.seq !== null ? { seq: cursor.value.seq } : { time: Math.round(cursor.value.time) } }, 30);
  if (answer.value && answer.value !== at.peek()) queueMicrotask(() => (at.value = answer.value));
  return null;
}

// ---- G orders

const statusAt = (row, seq) => {
  if (seq === null) return row.status;
  if (row.seq > seq) return "later";
  let found = row.origin === "placed" ? "pending" : "open";
  for (const [change, , status] of row.changes) if (change <= seq) found = status;
  return found;
};
const filter = signal("");

export function Orders() {
  const answer = useAnswer(() => head.value && { path: of("orders"), parameters: { text: filter.value, limit: 1000 }, again: live() }, 700);
  const chosen = use(selected), text = use(filter);
  use(at);
  use(cursor);
  const seq = atSeq(), data = answer.value, now = cursor.value.time;
  const isLive = (status) => ["open", "pending", "partially_filled", "unknown"].includes(status);
  const columns = [
    { name: "placed", text: (row) => (row.time || row.origin === "placed" ? when(row.time, 6) : row.origin), sort: (row) => row.time, width: "118px" },
    { name: "strategy", text: (row) => row.strategy },
    { name: "instrument", text: (row) => symbol(row.instrument) },
    { name: "side", text: (row) => row.side, tone: (row) => (row.side === "BUY" ? "buy" : "sell") },
    { name: "quantity", text: (row) => short(row.quantity), right: true },
    { name: "price", text: (row) => short(row.price) || short(row.stop_price) || "market", right: true },
    { name: "filled", text: (row) => (Number(row.filled) ? short(row.filled) : "·"), right: true },
    { name: "average", text: (row) => (Number(row.filled) ? fixed(Number(row.notional) / Number(row.filled), 4) : ""), right: true },
    { name: "at cursor", text: (row) => words(statusAt(row, seq)), tone: (row) => (isLive(statusAt(row, seq)) ? "strong" : statusAt(row, seq) === "later" ? "dim" : "") },
    { name: "age", text: (row) => (row.time <= now && !(seq !== null && row.seq > seq) ? span((row.end_time && row.end_time <= now ? row.end_time : now) - row.time) : ""), sort: (row) => (row.end_time || now) - row.time, right: true },
    { name: "ended as", text: (row) => words(row.status) },
    { name: "terms", text: (row) => row.terms, tone: () => "dim" },
    { name: "id", text: (row) => shortId(row.id), tone: () => "dim", title: (row) => `${row.id}${row.venue_id ? `, venue ${row.venue_id}` : ""}` },
    { name: "reason", text: (row) => row.reason, tone: () => "dim", title: (row) => row.reason },
  ];
  return html`<div class="panel-body"><div class="tools"><input type="search" placeholder="filter: id, strategy, instrument" aria-label="filter orders" value=${text} onInput=${(event) => (filter.value = event.target.value)} />
      <span class="dim">${data ? `${grouped(data.rows.length)} of ${grouped(data.total)}` : ""}</span></div>
    <${Table} columns=${columns} rows=${data?.rows || []} label="orders" follow=${seq === null || !data ? -1 : data.rows.findIndex((row) => row.seq <= seq)} isChosen=${(row) => row.id === chosen} rowClass=${(row) => (seq !== null && row.seq > seq ? "later" : "")}
      onPick=${(row) => { selectOrder(row.id); recordSeq.value = row.seq || null; if (row.seq) goTo(row.seq, row.time); }} empty=${answer.error || (data ? "no orders" : "…")} /></div>`;
}

// ---- K records

const kinds = signal([]);
const search = signal("");
const KINDS = ["FEED", "BROKER", "TIMER", "LINK", "COMMAND", "INTENT", "VERDICT", "REQUEST", "FACT", "NOTE", "CHECKPOINT"];

export function Records() {
  const answer = useAnswer(() => head.value && atSeq() !== null && { path: of("records"), parameters: { seq: atSeq(), kinds: kinds.value.join(","), text: search.value } }, 150);
  use(at);
  use(cursor);
  const chosenKinds = use(kinds), chosen = use(recordSeq);
  const seq = atSeq(), data = answer.value;
  const rows = data?.rows || [];
  const columns = [
    { name: "seq", text: (row) => String(row.seq), right: true, width: "74px" },
    { name: "time (UTC)", text: (row) => when(row.time, 9), width: "142px" },
    { name: "kind", text: (row) => row.kind, tone: (row) => "kind kind-" + row.kind, width: "84px" },
    { name: "source", text: (row) => row.source, tone: () => "dim" },
    { name: "cause", text: (row) => (row.cause === null ? "" : String(row.cause)), right: true, tone: () => "dim", width: "70px" },
    { name: "text", text: (row) => row.text, title: (row) => row.text },
  ];
  return html`<div class="panel-body split"><div class="stack"><div class="tools kinds">
      ${KINDS.map((kind) => html`<button class=${`chip kind-${kind} ${chosenKinds.includes(kind) ? "on" : ""}`} aria-pressed=${chosenKinds.includes(kind)} onClick=${() => (kinds.value = chosenKinds.includes(kind) ? chosenKinds.filter((each) => each !== kind) : [...chosenKinds, kind])}>${kind}</button>`)}
      <input type="search" placeholder="text in body, key or source" aria-label="search records" onChange=${(event) => (search.value = event.target.value)} /></div>
    <${Table} sortable=${false} columns=${columns} rows=${rows} label="records about the cursor" follow=${rows.findIndex((row) => row.seq >= seq)} isChosen=${(row) => row.seq === chosen} rowClass=${(row) => (row.seq === seq ? "at" : row.seq > seq ? "later" : "")}
      onPick=${(row) => { recordSeq.value = row.seq; goTo(row.seq, row.time); if (row.key) selected.value = row.key; }} empty=${answer.error || (data ? "no record matches near the cursor" : "…")} /></div>
    <div class="scroll aside">${chosen !== null ? html`<${RecordBytes} />` : html`<p class="quiet">Choose a record to see its bytes.</p>`}</div></div>`;
}

// ---- SQL

const query = signal("SELECT time_ns, net_pnl FROM pnl");
const EXAMPLES = [
  ["P&L", "SELECT time_ns, net_pnl FROM pnl"],
  ["refusals", "SELECT rule, count(*) AS count, max(objection) AS example FROM verdicts WHERE NOT approved GROUP BY rule ORDER BY 2 DESC"],
  ["slow answers", "SELECT seq, purpose, client_order_id, latency_ns FROM requests ORDER BY latency_ns DESC LIMIT 50"],
  ["spread", "SELECT time_ns, spread FROM quotes USING SAMPLE 2000 ROWS ORDER BY time_ns"],
  ["gaps", "SELECT * FROM gaps"],
];

export function Sql() {
  const text = use(query);
  const [state, setState] = useState({ result: null, error: "", busy: false, ms: 0 });
  const run = async () => {
    setState({ ...state, busy: true, error: "" });
    const begun = performance.now();
    try {
      const result = await post(of("sql"), { query: query.value });
      setState({ result: result.error ? null : result, error: result.error || "", busy: false, ms: performance.now() - begun });
    } catch (error) {
      setState({ result: null, error: error.message, busy: false, ms: 0 });
    }
  };
  const { result } = state;
  const place = (name) => result.columns.indexOf(name);
  const numeric = result ? result.columns.filter((name, at) => !["seq", "time_ns"].includes(name) && result.rows.some((row) => row[at] !== null && Number.isFinite(Number(row[at])))) : [];
  const asSeries = () => {
    const time = place("time_ns"), value = place(numeric[0]);
    const points = result.rows.map((row) => [Number(BigInt(row[time]) - BigInt(head.value.origin_ns)), Number(row[value])]).filter(([, number]) => Number.isFinite(number)).sort((a, b) => a[0] - b[0]);
    expression.value = { name: numeric[0], points };
  };
  const pick = (row) => {
    const seq = place("seq"), time = place("time_ns");
    if (seq >= 0 && row[seq] !== null) { recordSeq.value = Number(row[seq]); goTo(Number(row[seq])); }
    else if (time >= 0 && row[time] !== null) { cursor.value = { seq: null, time: Number(BigInt(row[time]) - BigInt(head.value.origin_ns)) }; }
    const id = place("client_order_id");
    if (id >= 0 && row[id]) selected.value = row[id];
  };
  return html`<div class="panel-body stack sql"><div class="tools"><textarea rows="2" spellcheck="false" aria-label="SQL query" value=${text} onInput=${(event) => (query.value = event.target.value)}
      onKeyDown=${(event) => { event.stopPropagation(); if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(); if (event.key === "Escape") event.target.blur(); }}></textarea>
      <button class="go" onClick=${run} disabled=${state.busy}>${state.busy ? "running …" : "run"}</button></div>
    <div class="tools"><span class="dim">try</span>${EXAMPLES.map(([name, example]) => html`<button class="chip" onClick=${() => { query.value = example; run(); }}>${name}</button>`)}
      ${result && html`<span class="dim">${grouped(result.rows.length)}${result.more ? "+" : ""} rows, ${Math.round(state.ms)} ms</span>`}
      ${result && place("time_ns") >= 0 && numeric.length > 0 && html`<button class="chip on" onClick=${asSeries}>plot ${numeric[0]} under the price</button>`}
      <span class="dim">Ctrl+Enter runs; one SELECT, read-only</span></div>
    ${state.error && html`<p class="warn-text" role="alert">${state.error}</p>`}
    ${result && html`<${Table} label="result" columns=${result.columns.map((name, column) => ({ name, text: (row) => row[column] ?? "", right: /INT|DECIMAL|DOUBLE|FLOAT/.test(result.types[column]), title: (row) => row[column] ?? "" }))} rows=${result.rows} onPick=${place("seq") >= 0 || place("time_ns") >= 0 ? pick : undefined} />`}</div>`;
}

// ---- H P&L

export function Pnl() {
  const answer = useAnswer(() => head.value && { path: of("pnl"), again: Math.floor(live() / 6) }, 1500);
  const now = use(at);
  const data = answer.value;
  if (!data) return html`<p class="quiet">${answer.error || "…"}</p>`;
  const equity = data.equity.rows;
  const lines = now?.pnl || [];
  const total = now?.portfolio;
  const draw = (name, column, tone) => (g, width, height, p) => {
    const range = [0, Math.max(head.value.last_time, 1)];
    drawTimeAxis(g, width, height, range, p);
    if (!equity.length) return;
    const values = equity.map((row) => row[column]);
    let low = Math.min(...values, column === 6 ? 0 : Infinity), high = Math.max(...values, column === 6 ? 0 : -Infinity);
    if (low === high) [low, high] = [low - 1, high + 1];
    const y = drawPriceAxis(g, width, height, low, high, (value) => fixed(value, Math.abs(high - low) < 10 ? 3 : 1), p);
    g.beginPath();
    equity.forEach((row, place) => {
      const x = xOf(row[1], width, range);
      if (place) g.lineTo(x, y(row[column]));
      else g.moveTo(x, y(row[column]));
    });
    g.strokeStyle = p[tone];
    g.lineWidth = 1.5;
    g.stroke();
    if (column === 6) {
      g.lineTo(xOf(equity.at(-1)[1], width, range), y(0));
      g.lineTo(xOf(equity[0][1], width, range), y(0));
      g.globalAlpha = 0.08;
      g.fillStyle = p[tone];
      g.fill();
      g.globalAlpha = 1;
    }
    g.lineWidth = 1;
    g.fillStyle = p.dim;
    g.textAlign = "left";
    g.fillText(name, LEFT + 6, 12);
    drawCursor(g, width, height, range, p);
  };
  const whole = () => [0, Math.max(head.value.last_time, 1)];
  return html`<div class="panel-body columns"><div class="scroll">
      <h3>at the cursor</h3>
      <table class="mini wide" aria-label="P&L at the cursor"><thead><tr><th>strategy</th><th>instrument</th><th class="right">quantity</th><th class="right">mark</th><th class="right">realised</th><th class="right">unrealised</th><th class="right">fees</th><th class="right">funding</th><th class="right">net</th></tr></thead><tbody>
        ${lines.map((row) => html`<tr class="pick" onClick=${() => goTo(row[0], row[1])}><td>${row[2]}</td><td>${symbol(row[3])}</td><td class="right">${short(row[4])}</td><td class="right">${short(row[5], 4)}</td><td class="right">${signed(row[6])}</td><td class="right">${signed(row[7])}</td><td class="right">${fixed(row[8])}</td><td class="right">${signed(row[9])}</td><td class="right strong">${signed(Number(row[6]) + Number(row[7]) + Number(row[9]) - Number(row[8]))}</td></tr>`)}
        ${total && html`<tr class="total pick" onClick=${() => goTo(total[0], total[1])}><td colspan="4">all, in ${total[8]}</td><td class="right">${signed(total[2])}</td><td class="right">${signed(total[3])}</td><td class="right">${fixed(total[4])}</td><td class="right">${signed(total[5])}</td><td class="right strong">${signed(total[6])}</td></tr>`}
      </tbody></table>
      ${!lines.length && html`<p class="quiet">no P&L was reported before the cursor</p>`}
      <h3>balances</h3>
      <table class="mini wide" aria-label="balances"><thead><tr><th>asset</th><th class="right">free</th><th class="right">locked</th></tr></thead><tbody>${(now?.balances || []).map((row) => html`<tr class="pick" onClick=${() => goTo(row[0], row[1])}><td>${row[2]}</td><td class="right">${short(row[3])}</td><td class="right">${short(row[4])}</td></tr>`)}</tbody></table>
      <h3>own records against the venue's</h3>
      <table class="mini wide" aria-label="own against venue"><thead><tr><th>of</th><th class="right">ours</th><th class="right">venue</th><th class="right">difference</th><th class="right">compared</th></tr></thead><tbody>${(now?.checks || []).map((row) => html`<tr class="pick" onClick=${() => goTo(row[0], row[1])}><td>${row[2]}</td><td class="right">${short(row[3], 4)}</td><td class="right">${short(row[4], 4)}</td><td class=${"right " + (Number(row[5]) ? "warn-text" : "good")}>${short(row[5])}</td><td class="right dim">${when(row[1], 0)}</td></tr>`)}</tbody></table>
      <h3>at the end, exact</h3>
      <table class="mini wide" aria-label="P&L at the end"><tbody>${data.groups.map((row) => html`<tr><td>${row.name}</td><td class="right">${short(row.realised)}</td><td class="right">${short(row.unrealised)}</td><td class="right">${short(row.fees)}</td><td class="right strong">${short(row.total)}</td></tr>`)}</tbody></table>
    </div><div class="charts"><div class="plot"><${Canvas} draw=${draw(`P&L after fees, ${data.equity.currency}`, 6, "accent")} ownTime=${whole} label="P&L" /></div>
    <div class="plot"><${Canvas} draw=${draw("drawdown", 8, "warn")} ownTime=${whole} label="drawdown" /></div></div></div>`;
}

// ---- I risk

const confirming = signal(null);

export function Risk() {
  const answer = useAnswer(() => head.value && atSeq() !== null && { path: of("refusals"), parameters: { seq: atSeq() } }, 250);
  const now = use(at);
  use(cursor);
  use(head);
  const data = answer.value;
  const mode = now?.mode;
  const limits = Object.entries(data?.limits || {});
  return html`<div class="scroll pad">
    <div class="mode"><span class=${"pill mode-" + (mode?.[2] || "none")}>${mode?.[2] || "no mode yet"}</span> ${mode && html`<span class="dim">since ${when(mode[1])}</span>`}
      ${(mode?.[3] || []).map((reason) => html`<div class="warn-text">${reason}</div>`)}</div>
    <${Controls} />
    <h3>limits, at the last verdict before the cursor</h3>
    <div class="limits" role="list">${limits.map(([name, [before, limit, after, seq]]) => {
      const shown = Number(limit) ? Math.max(Math.min(Math.abs(Number(after)) / Math.abs(Number(limit)), 1), 0) : 0;
      return html`<button role="listitem" class="limit" title=${`verdict ${seq}: ${short(before)} before, ${short(after)} with the order, limit ${short(limit)}`} onClick=${() => { recordSeq.value = seq; goTo(seq); }}>
        <span class="name">${words(name)}</span><span class="bar"><i class=${shown > 0.999 ? "full" : shown > 0.8 ? "near" : ""} style=${{ width: `${shown * 100}%` }}></i></span>
        <span class="num">${short(after, 4)} / ${short(limit, 4)}</span></button>`;
    })}</div>
    ${!limits.length && html`<p class="quiet">${answer.error || "no verdict before the cursor states figures"}</p>`}
    <h3>refusals ${data ? html`<span class="dim">${grouped(data.total)}</span>` : ""}</h3>
    ${Object.entries(data?.rules || {}).sort((a, b) => b[1].count - a[1].count).map(([name, rule]) => html`<button class="refusal" onClick=${() => { recordSeq.value = rule.seq; selectOrder(rule.id); goTo(rule.seq, rule.time); }}>
      <b>${words(name)}</b> <span class="num">${grouped(rule.count)}×</span> <span class="dim">last ${when(rule.time)}</span><div>${rule.text}</div></button>`)}
    ${data && !data.total && html`<p class="quiet">none before the cursor</p>`}
    <h3>breakers, blocks, safety orders</h3>
    ${(now?.safety || []).slice(0, 12).map((row) => html`<button class="refusal" onClick=${() => { recordSeq.value = row[0]; goTo(row[0], row[1]); }}><span class="dim">${when(row[1])}</span> ${row[3]}</button>`)}
    ${now && !now.safety.length && html`<p class="quiet">none before the cursor</p>`}
    <h3>commands</h3>
    ${(now?.commands || []).map((row) => html`<button class="refusal" onClick=${() => { recordSeq.value = row[0]; goTo(row[0], row[1]); }}><b>${words(row[2])}</b> by ${row[3] || "?"} <span class="dim">${when(row[1])}</span><div class="dim">${row[4]}</div></button>`)}
  </div>`;
}

function Controls() {
  const open = use(confirming);
  const [typed, setTyped] = useState("");
  const [said, setSaid] = useState("");
  if (!head.value.is_live) return html`<p class="quiet">The session has ended: there is nothing to command.</p>`;
  if (!commandToken()) return html`<p class="quiet">This cockpit is read-only.</p>`;
  const send = async (command, confirm = "") => {
    setSaid("sending …");
    try {
      const answer = await post(of("command"), { command, confirm, reason: "cockpit" }, { "x-verbatim-command": commandToken() });
      setSaid(`${words(command)}: record ${answer.seq}; mode ${answer.mode}${answer.reasons?.length ? ` (${answer.reasons.join("; ")})` : ""}`);
      confirming.value = null;
    } catch (error) {
      setSaid(error.message);
    }
  };
  return html`<div class="controls"><div class="row"><button onClick=${() => send("pause")}>pause</button><button onClick=${() => send("resume")}>resume</button><button onClick=${() => send("reconcile")}>reconcile</button>
      ${["halt", "cancel_all", "flatten", "stop"].map((name) => html`<button class="danger" onClick=${() => { setTyped(""); confirming.value = name; }}>${words(name)}</button>`)}</div>
    ${open && html`<form class="confirm" onSubmit=${(event) => { event.preventDefault(); send(open, typed); }}>
      <label>Type <b>${head.value.id}</b> to confirm <b>${words(open)}</b> <input autofocus value=${typed} onInput=${(event) => setTyped(event.target.value)} onKeyDown=${(event) => { event.stopPropagation(); if (event.key === "Escape") confirming.value = null; }} spellcheck="false" autocomplete="off" /></label>
      <button class="danger" disabled=${typed !== head.value.id}>${words(open)} now</button> <button type="button" onClick=${() => (confirming.value = null)}>no</button></form>`}
    ${said && html`<p role="status">${said}</p>`}</div>`;
}

// ---- J health

export function Health() {
  const answer = useAnswer(() => head.value && atSeq() !== null && { path: of("health"), parameters: { seq: atSeq() } }, 400);
  use(at);
  use(cursor);
  const data = answer.value;
  if (!data) return html`<p class="quiet">${answer.error || "…"}</p>`;
  const go = (row) => { recordSeq.value = row[0]; goTo(row[0]); };
  return html`<div class="panel-body columns three"><div class="scroll"><h3>streams, before the cursor</h3>
      <table class="mini wide" aria-label="streams"><thead><tr><th>stream</th><th class="right">age</th><th class="right">rate /s</th><th class="right">longest gap</th><th class="right">reconnects</th></tr></thead><tbody>
      ${Object.entries(data.streams).map(([name, row]) => html`<tr><td>${name}</td><td class=${"right " + (row.age > 1e10 ? "warn-text" : "")}>${span(row.age)}</td><td class="right">${row.rate}</td><td class="right">${span(row.gap)}</td><td class="right">${row.reconnects}</td></tr>`)}</tbody></table>
      <h3>decision to wire</h3><${Histogram} data=${data.wire} /><h3>sending to answer</h3><${Histogram} data=${data.answers} />
      <${Meter} figures=${data.meter} /></div>
    <div class="scroll"><h3>links</h3>${data.links.map((row) => html`<button class="refusal" onClick=${() => go(row)}><span class="dim num">${when(row[1])}</span> <b>${row[3]}</b> ${row[2]} <span class="dim">${row[4]}</span></button>`)}
      <h3>gaps in market data</h3>${data.gaps.map((row) => html`<button class="refusal" onClick=${() => go(row)}><span class="dim num">${when(row[1])}</span> ${row[2] === null ? "lasts" : span(row[2] - row[1])} ${row[3]} ${symbol(row[4])} <span class="dim">${row[5]}</span></button>`)}${!data.gaps.length && html`<p class="quiet">none</p>`}</div>
    <div class="scroll"><h3>warnings and alarms</h3>${data.alarms.map((row) => html`<button class="refusal" onClick=${() => go(row)}><span class="dim num">${when(row[1])}</span> <b class=${row[2] === "alarm" ? "alarm-text" : "warn-text"}>${row[2]}</b><div>${row[3]}</div></button>`)}${!data.alarms.length && html`<p class="quiet">none</p>`}</div></div>`;
}

function Meter({ figures }) {
  if (!figures) return html`<h3>the trader's process</h3><p class="quiet">its meter has no line before the cursor</p>`;
  const mib = (bytes) => `${grouped(Math.round(bytes / 2 ** 20))} MiB`;
  const [newest, p50, p99] = figures.sync;
  const rows = [
    ["queue", grouped(figures.waiting[0]), `peak ${grouped(figures.waiting[1])}`],
    ["lag", span(figures.lag[0]), `peak ${span(figures.lag[1])}`],
    ["sync", newest ? `p50 ${span(p50)}` : "none", newest ? `p99 ${span(p99)}` : ""],
    ...figures.sends.map(([purpose, transport, count, recent, half, nearly]) => [`${words(purpose)}, ${words(transport)}`, recent ? `p50 ${span(half)}` : "", `${recent ? `p99 ${span(nearly)} · ` : ""}${grouped(count)} sent`]),
    ["unsynced", grouped(figures.unsynced), "records"],
    ["log", grouped(figures.log_dropped), "batches dropped"],
    ["memory", mib(figures.memory), `${mib(figures.free)} of disk free`],
  ];
  return html`<h3>the trader's process <span class="dim">${figures.age > 0 && `${span(figures.age)} before the cursor`}</span></h3>
    <table class="mini wide" aria-label="process of the trader"><tbody>${rows.map(([name, value, more]) => html`<tr><td>${name}</td><td class="right">${value}</td><td class="dim">${more}</td></tr>`)}</tbody></table>`;
}

function Histogram({ data }) {
  if (!data.count) return html`<p class="quiet">no request was answered before the cursor</p>`;
  const most = Math.max(...data.buckets.map(([, count]) => count));
  return html`<div class="histogram"><div class="num">p50 <b>${span(data.p50)}</b> · p90 <b>${span(data.p90)}</b> · p99 <b>${span(data.p99)}</b> · max <b>${span(data.max)}</b> <span class="dim">of ${grouped(data.count)}</span></div>
    ${data.buckets.map(([bits, count]) => html`<div class="hrow"><span class="num dim">${span(bits ? 2 ** (bits - 1) * 1000 : 0)}</span><span class="bar"><i style=${{ width: `${(count / most) * 100}%` }}></i></span><span class="num">${grouped(count)}</span></div>`)}</div>`;
}

// ---- D ladder

export function Ladder() {
  const answer = useAnswer(() => head.value?.instruments.length && atSeq() !== null && { path: of("ladder"), parameters: { instrument: instrument.value, seq: Math.max(atSeq(), 1) } }, 120);
  use(at);
  use(cursor);
  const data = answer.value, about = head.value.instruments[instrument.value];
  if (!data || !about) return html`<p class="quiet">${answer.error || "…"}</p>`;
  const most = Math.max(...data.bids.slice(0, 20).map((row) => row[1]), ...data.asks.slice(0, 20).map((row) => row[1]), 1);
  const own = Object.fromEntries(Object.entries(data.own).map(([price, size]) => [Math.round(Number(price) * 10 ** about.price_scale), size]));
  const places = Math.max(0, Math.min(about.price_scale, (about.tick.split(".")[1] || "").replace(/0+$/, "").length));
  const price = (value) => short(scaled(value, about.price_scale), places || 0).replace(/\.$/, "");
  const row = (side) => ([level, size]) => html`<tr class=${side + (own[level] ? " own" : "")}><td class="right own">${own[level] ? short(own[level]) : ""}</td><td class="right size"><span class="bar"><i style=${{ width: `${(size / most) * 100}%` }}></i></span>${short(scaled(size, about.size_scale), 5)}</td><td class=${"right " + (side === "bid" ? "buy" : "sell")}>${price(level)}</td></tr>`;
  const spread = data.bids.length && data.asks.length ? data.asks[0][0] - data.bids[0][0] : null;
  return html`<div class="scroll ladder"><table class="mini" aria-label="order book"><thead><tr><th class="right">own</th><th class="right">size</th><th class="right">price</th></tr></thead><tbody>
      ${data.asks.slice(0, 20).reverse().map(row("ask"))}
      <tr class="mid"><td colspan="3">${spread === null ? "no book here" : `spread ${price(spread)} · mid ${price((data.bids[0][0] + data.asks[0][0]) / 2)}`}</td></tr>
      ${data.bids.slice(0, 20).map(row("bid"))}</tbody></table>
    <h3>last trades</h3><table class="mini" aria-label="last trades"><tbody>${data.trades.map(([time, last, buy, sell, seq]) => html`<tr class="pick" onClick=${() => goTo(seq, time)}><td class="dim">${when(time)}</td><td class="right">${short(scaled(buy + sell, about.size_scale), 5)}</td><td class=${"right " + (buy >= sell ? "buy" : "sell")}>${price(last)}</td></tr>`)}</tbody></table></div>`;
}

// ---- F strategies

export function Strategies() {
  const answer = useAnswer(() => head.value && !head.value.is_capture && atSeq() !== null && { path: of("state"), parameters: { seq: atSeq() } }, 250);
  const names = useAnswer(() => head.value && { path: of("values"), parameters: {}, again: Math.floor(live() / 10) }, 2000);
  const now = use(at), chosen = use(seriesNames);
  use(cursor);
  const state = answer.value;
  const known = names.value?.names || [];
  return html`<div class="scroll pad">
    <h3>values as series</h3><div class="row wrap">${known.map((name) => html`<button class=${"chip " + (chosen.includes(name) ? "on" : "")} aria-pressed=${chosen.includes(name)} onClick=${() => (seriesNames.value = chosen.includes(name) ? chosen.filter((each) => each !== name) : [...chosen, name].slice(-8))}>${name}</button>`)}</div>
    ${!known.length && html`<p class="quiet">no strategy recorded numbers</p>`}
    ${head.value.strategies.map((each) => {
      const held = state?.strategies.find((found) => found.strategy === each.name), change = now?.changes[each.name];
      return html`<section class="strategy"><h3>${each.name} <span class="dim">version ${each.version}</span></h3>
        ${held?.stopped_for && html`<p class="warn-text">stopped: ${held.stopped_for}</p>`}
        <table class="mini wide" aria-label=${"state of " + each.name}><tbody>
          ${Object.entries(held?.state || {}).map(([name, value]) => html`<tr><td>${words(name)}</td><td class="right">${text(value)}</td><td class="dim">${change && name in change.fields ? `was ${text(change.fields[name][0] ?? "unset")} until ${when(change.time)}` : "state"}</td></tr>`)}
          ${Object.entries(each.parameters || {}).map(([name, value]) => html`<tr><td>${words(name)}</td><td class="right">${text(value)}</td><td class="dim">parameter</td></tr>`)}</tbody></table>
        ${change && html`<button class="plain" onClick=${() => { recordSeq.value = change.seq; goTo(change.seq, change.time); }}>last change: record ${change.seq}</button>`}</section>`;
    })}
    ${state && html`<h3>waiting for</h3>${state.waiting_for.map((row) => html`<div>${words(row.purpose)} ${shortId(row.client_order_id)} <span class="dim">${row.why}</span></div>`)}${!state.waiting_for.length && html`<p class="quiet">no answer</p>`}
      <h3>timers</h3><table class="mini wide" aria-label="timers"><tbody>${state.timers.slice(0, 20).map((row) => html`<tr><td>${row.timer}</td><td class="right">in ${span(Number(BigInt(row.due_ns) - BigInt(state.time_ns)))}</td></tr>`)}</tbody></table>
      ${state.unknown_orders.length > 0 && html`<h3>unknown orders</h3>${state.unknown_orders.map((row) => html`<div class="warn-text">${shortId(row.client_order_id)}: ${row.reason}; queried ${row.query_count} times</div>`)}`}`}
    ${answer.error && html`<p class="quiet">${answer.error}</p>`}</div>`;
}
const text = (value) => (value === null || typeof value !== "object" ? String(value) : JSON.stringify(value));

// ---- M summary

export function Summary() {
  const answer = useAnswer(() => head.value && { path: of("summary"), again: Math.floor(live() / 20) }, 3000);
  const data = answer.value;
  if (!data) return html`<p class="quiet">${answer.error || "…"}</p>`;
  const last = data.equity.rows.at(-1), worst = Math.min(0, ...data.equity.rows.map((row) => row[8]));
  const { activity } = data;
  const facts = [
    ["P&L after fees", last ? `${signed(last[6])} ${data.equity.currency}` : "–"], ["drawdown, at most", `${fixed(worst)} ${data.equity.currency}`], ["fees", last ? fixed(last[4]) : "–"], ["equity", last ? fixed(last[7], 2) : "–"],
    ["intents", grouped(data.intents)], ["refused by risk", grouped(data.refused)], ["orders placed", grouped(data.placed)], ["cancels", grouped(data.canceled)], ["fills", grouped(data.fills)],
    ["maker share", activity.fills ? `${((activity.maker / activity.fills) * 100).toFixed(1)} %` : "–"], ["turnover", fixed(activity.turnover, 2)], ["quantity filled", short(data.filled_quantity)],
  ];
  return html`<div class="panel-body columns three"><div class="scroll"><h3>session ${head.value.id}</h3>
      <table class="mini wide" aria-label="summary"><tbody>${facts.map(([name, value]) => html`<tr><td>${name}</td><td class="right strong">${value}</td></tr>`)}</tbody></table>
      ${data.troubles.map((line) => html`<p class="warn-text">${line}</p>`)}</div>
    <div class="scroll"><h3>time in each mode</h3><${Bars} rows=${Object.entries(data.time.seconds || data.time.modes || {}).map(([name, value]) => [name, Number(value)])} unit=" s" />
      <h3>fills by hour (UTC)</h3><${Bars} rows=${activity.groups.hour.map(([name, count]) => [name, count])} /></div>
    <div class="scroll"><h3>by strategy</h3><${Groups} rows=${activity.groups.strategy} /><h3>by instrument</h3><${Groups} rows=${activity.groups.instrument} />
      <h3>keep it</h3><p class="quiet">One file with this page: <code>verbatim report ${head.value.id} out.html</code></p></div></div>`;
}

const Bars = ({ rows, unit = "" }) => {
  const most = Math.max(...rows.map(([, value]) => value), 1e-9);
  return html`<div class="histogram">${rows.map(([name, value]) => html`<div class="hrow"><span>${name}</span><span class="bar"><i style=${{ width: `${(value / most) * 100}%` }}></i></span><span class="num">${grouped(Math.round(value * 10) / 10)}${unit}</span></div>`)}</div>`;
};
const Groups = ({ rows }) => html`<table class="mini wide" aria-label="groups"><thead><tr><th></th><th class="right">fills</th><th class="right">turnover</th></tr></thead><tbody>${rows.map(([name, count, turnover]) => html`<tr><td>${symbol(name)}</td><td class="right">${grouped(count)}</td><td class="right">${fixed(turnover, 2)}</td></tr>`)}</tbody></table>`;

// ---- L compare

export function Compare() {
  const list = useAnswer(() => ({ path: "sessions", parameters: {} }));
  const [state, setState] = useState({ other: "", data: null, error: "", busy: false });
  const others = (list.value || []).filter((row) => row.id !== head.value.id);
  const run = async (other) => {
    if (!other) return;
    setState({ other, data: null, error: "", busy: true });
    try {
      const data = await get(of("compare"), { other });
      compared.value = { other: data.other, shift: data.shift, partings: data.partings };
      setState({ other, data, error: "", busy: false });
    } catch (error) {
      setState({ other, data: null, error: error.message, busy: false });
    }
  };
  const { data } = state;
  return html`<div class="panel-body scroll pad"><div class="tools"><label>this session with <select value=${state.other} onChange=${(event) => run(event.target.value)}><option value="">choose …</option>
      ${others.map((row) => html`<option value=${row.id}>${row.id}  ${row.strategies?.join(", ") || ""}  ${row.ended}</option>`)}</select></label>
      ${data && html`<button class="chip" onClick=${() => { compared.value = null; setState({ other: "", data: null, error: "", busy: false }); }}>end</button>`}</div>
    ${state.busy && html`<p class="quiet">comparing …</p>`}${state.error && html`<p class="warn-text">${state.error}</p>`}
    ${data && html`<h3>${data.verdict}</h3>
      ${data.session.map((line) => html`<div class="dim">${line}</div>`)}
      <h3>first differences</h3><table class="mini wide" aria-label="first differences"><tbody>${data.partings.map((row) => html`<tr class="pick" onClick=${() => { cursor.value = { seq: null, time: row.time }; }}><td><b>${row.of}</b></td><td class="num">${row.time ? when(row.time, 6) : "from the start"}</td><td class="wraps">${row.what}</td></tr>`)}</tbody></table>
      ${!data.partings.length && html`<p class="quiet">no record differs</p>`}
      <h3>P&L by cause</h3>${data.bridge.map((part) => html`<${Bridge} part=${part} />`)}
      <h3>fork</h3><p class="quiet">Repeat this session from the cursor with one change: <code>verbatim resim ${head.value.id} --from ${atSeq() ?? 0} --set NAME=VALUE</code></p>`}
    ${!data && !state.busy && html`<p class="quiet">The orders of the other session appear dotted in the price panel; the first difference of each kind is a link.</p>`}</div>`;
}

const Bridge = ({ part }) => html`<table class="mini wide" aria-label="P&L bridge"><tbody>${Object.entries(part).filter(([, value]) => typeof value !== "object").map(([name, value]) => html`<tr><td>${words(name)}</td><td class="right">${short(value)}</td></tr>`)}
  ${Object.entries(part.causes || part.sums || {}).map(([name, value]) => html`<tr><td>${words(name)}</td><td class="right">${typeof value === "object" ? JSON.stringify(value) : short(value)}</td></tr>`)}</tbody></table>`;

export { AXIS, Refused, line, notice, session, batch, view };

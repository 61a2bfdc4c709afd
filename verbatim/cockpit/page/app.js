// The page: overview or one session, keys, the address, following a running session.

import { batch, cursor, dock, effect, following, goTo, head, helpOpen, html, instrument, jump, loaded, markKind, moveTo, notice, of, playing, plotTab, recordSeq, render, selected, selectOrder, session, setView, side, step, theme, tick, use, useEffect, useState, view, zoom } from "./store.js";
import { get, source } from "./api.js";
import { Rail } from "./rail.js";
import { Lines, Price } from "./price.js";
import { Heat } from "./heat.js";
import { Why } from "./why.js";
import { AtCursor, Compare, Health, Ladder, Orders, Pnl, Records, Risk, Sql, Strategies, Summary, at } from "./panels.js";
import { Table } from "./table.js";
import { grouped, localTime, short, signed, span, utc, utcDate, symbol } from "./format.js";

const DOCK = [["orders", "Orders", Orders], ["records", "Records", Records], ["sql", "SQL", Sql], ["pnl", "P&L", Pnl], ["health", "Health", Health], ["summary", "Summary", Summary], ["compare", "Compare", Compare]];
const SIDE = [["why", "Why", Why], ["ladder", "Book", Ladder], ["risk", "Risk", Risk], ["strategy", "Strategy", Strategies]];
const MARKS = ["decision", "fill", "order", "refusal", "alarm", "mode", "gap", "link", "unknown", "command"];
const SPEEDS = [1, 10, 60, 300, 1000];

// ---- the address

const parse = () => {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { name: decodeURIComponent(path.replace(/^\/?(s\/)?/, "")), given: new URLSearchParams(query) };
};

function readAddress() {
  const { name, given } = parse();
  if (name !== session.value) return open(name, given);
  applyAddress(given);
}

function applyAddress(given) {
  const number = (key) => (given.has(key) && Number.isFinite(Number(given.get(key))) ? Number(given.get(key)) : null);
  batch(() => {
    if (number("from") !== null && number("to") !== null && number("to") > number("from")) setView(number("from"), number("to"));
    if (number("seq") !== null) goTo(number("seq")).catch(() => {});
    else if (number("time") !== null) moveTo(number("time"));
    if (given.has("order")) selectOrder(given.get("order"));
    if (number("record") !== null) recordSeq.value = number("record");
    if (DOCK.some(([key]) => key === given.get("tab"))) dock.value = given.get("tab");
    if (SIDE.some(([key]) => key === given.get("side"))) side.value = given.get("side");
    if (["price", "book"].includes(given.get("plot"))) plotTab.value = given.get("plot");
    if (number("i") !== null && head.value?.instruments[number("i")]) instrument.value = number("i");
    following.value = head.value?.is_live === true && (given.get("live") === "1" || !given.has("from"));
  });
}

let written = "";
function writeAddress() {
  if (!session.value || !head.value || source.offline) return;
  const found = { seq: cursor.value.seq ?? undefined, time: cursor.value.seq === null ? Math.round(cursor.value.time) : undefined, from: view.value[0], to: view.value[1], order: selected.value || undefined, record: recordSeq.value ?? undefined, tab: dock.value, side: side.value, plot: plotTab.value === "price" ? undefined : plotTab.value, i: instrument.value || undefined, live: following.value ? 1 : undefined };
  if (following.value) delete found.seq, delete found.time;
  const query = new URLSearchParams(Object.entries(found).filter(([, value]) => value !== undefined));
  const address = `#/s/${encodeURIComponent(session.value)}?${query}`;
  if (address !== written && address !== location.hash) history.replaceState(null, "", address);
  written = address;
}

let stream = null, opening = 0;
async function open(name, given = new URLSearchParams()) {
  const mine = ++opening;
  stream?.close();
  stream = null;
  batch(() => {
    session.value = name;
    head.value = null;
    selected.value = "";
    recordSeq.value = null;
    at.value = null;
    playing.value = 0;
    following.value = false;
    instrument.value = 0;
    notice.value = "";
  });
  document.title = name ? `${name} · Verbatim` : "Verbatim cockpit";
  if (!name) return;
  try {
    const found = await get(of("head"));
    if (mine !== opening) return;
    loaded.value = 1;
    batch(() => {
      head.value = found;
      setView(0, Math.max(found.last_time, 1));
      cursor.value = { seq: null, time: found.last_time };
    });
    applyAddress(given);
    if (found.is_live && !source.offline) follow(name);
  } catch (error) {
    if (mine === opening) notice.value = error.message;
  }
}

function follow(name) {
  stream = new EventSource(`/api/s/${encodeURIComponent(name)}/stream`);
  stream.onmessage = (event) => {
    const now = JSON.parse(event.data);
    if (session.value !== name || !head.value) return;
    batch(() => {
      const before = head.value.last_time, [from, to] = view.value;
      head.value = { ...head.value, ...now };
      tick.value += 1;
      if (following.value) {
        cursor.value = { seq: null, time: now.last_time };
        const whole = from === 0 && to >= before * 0.98;
        if (whole) view.value = [0, now.last_time];
        else view.value = [Math.max(now.last_time - (to - from), 0), now.last_time];
      }
    });
    if (!now.is_live) {
      stream.close();
      following.value = false;
      get(of("head")).then((found) => (head.value = found)).catch(() => {});
    }
  };
}

// ---- playing

let frame = 0, lastFrame = 0;
effect(() => {
  cancelAnimationFrame(frame);
  if (!playing.value) return;
  lastFrame = 0;
  const forward = (now) => {
    if (lastFrame) {
      const time = cursor.peek().time + (now - lastFrame) * 1e6 * playing.peek(), [from, to] = view.peek();
      if (time >= head.value.last_time) return (playing.value = 0);
      moveTo(time);
      if (time > to) setView(time - (to - from) * 0.1, time + (to - from) * 0.9);
    }
    lastFrame = now;
    frame = requestAnimationFrame(forward);
  };
  frame = requestAnimationFrame(forward);
});

// ---- keys

const goLive = () => {
  following.value = true;
  cursor.value = { seq: null, time: head.value.last_time };
  const [from, to] = view.value;
  setView(head.value.last_time - (to - from), head.value.last_time);
};
const KEYS = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1),
  "[": () => jump(markKind.value, "back"), "]": () => jump(markKind.value, "on"),
  d: () => jump("decision", "on"), D: () => jump("decision", "back"), f: () => jump("fill", "on"), F: () => jump("fill", "back"),
  r: () => jump("refusal", "on"), R: () => jump("refusal", "back"), a: () => jump("alarm", "on"), A: () => jump("alarm", "back"),
  "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => setView(0, head.value.last_time),
  " ": () => (playing.value = playing.value ? 0 : 1), l: () => head.value.is_live && goLive(),
  "/": () => { dock.value = "sql"; setTimeout(() => document.querySelector(".sql textarea")?.focus(), 50); },
  g: () => document.querySelector("#goto")?.focus(), "?": () => (helpOpen.value = !helpOpen.value), Escape: () => { helpOpen.value = false; selectOrder(""); },
  b: () => (plotTab.value = plotTab.value === "price" ? "book" : "price"), t: () => nextTheme(),
};
const HELP = [["← →", "one record back, on"], ["[ ]", "previous, next act of the chosen kind"], ["d f r a", "next decision, fill, refusal, alarm; with Shift the one before"], ["+ − 0", "zoom in, out, the whole session; the wheel zooms, dragging pans"], ["space", "play or stop"], ["l", "follow a running session"], ["g", "go to a record or a time"], ["/", "SQL"], ["1 … 7", "tables"], ["b", "price or book"], ["t", "light, dark, as the system"], ["?", "this help"]];

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName) || !head.value) return;
  if (event.key === " " && event.target.tagName === "BUTTON") return;
  const tab = DOCK[Number(event.key) - 1];
  if (tab && event.key !== "0") dock.value = tab[0];
  else if (event.key in KEYS) {
    event.preventDefault();
    Promise.resolve(KEYS[event.key]()).catch((error) => (notice.value = error.message));
  }
});

// ---- light and dark

function nextTheme() {
  theme.value = { auto: "light", light: "dark", dark: "auto" }[theme.value];
}
try {
  theme.value = localStorage.getItem("theme") || "auto";
} catch {
  // a page from a file may have no storage
}
effect(() => {
  document.documentElement.dataset.theme = theme.value;
  try {
    localStorage.setItem("theme", theme.value);
  } catch {
    // as above
  }
  if (head.peek()) view.value = [...view.peek()];
});

// ---- parts of the page

function Top() {
  const about = use(head), place = use(cursor), play = use(playing), glued = use(following), kind = use(markKind), now = use(at), text = use(notice), index = use(instrument);
  use(theme);
  const seq = place.seq ?? (now && Math.abs(now.time - place.time) < 1e12 ? now.seq : null);
  const go = (event) => {
    event.preventDefault();
    const given = new FormData(event.target).get("place").trim();
    event.target.querySelector("input").blur();
    if (/^\d{1,12}$/.test(given)) goTo(Math.min(Number(given), about.last_seq)).catch((error) => (notice.value = error.message));
    else if (/^\d{1,2}:\d\d(:\d\d(\.\d{1,9})?)?$/.test(given)) {
      const [h, m, s = "0"] = given.split(":"), day = 86400000000000n, origin = BigInt(about.origin_ns);
      let time = Number((BigInt(h) * 3600n + BigInt(m) * 60n) * 1000000000n) + Math.round(Number(s) * 1e9) - Number(origin % day);
      if (time < 0) time += Number(day);
      moveTo(time);
    } else notice.value = "write a record, as 48212, or a time of day, as 13:45:10.25";
  };
  const mode = now?.mode?.[2];
  return html`<header class="top">
    <a class="home" href="#/" title="all sessions" aria-label="all sessions">⌂</a>
    <div class="name"><b>${about.id}</b> <span class="dim">${about.is_capture ? "capture" : about.strategies.map((each) => each.name).join(", ")}</span></div>
    ${about.instruments.length > 1 ? html`<select aria-label="instrument" value=${String(index)} onChange=${(event) => (instrument.value = Number(event.target.value))}>${about.instruments.map((each, place) => html`<option value=${String(place)} selected=${place === index}>${each.symbol}</option>`)}</select>` : html`<span class="dim">${about.instruments[0]?.symbol || ""}</span>`}
    <span class=${"pill mode-" + (mode || "none")}>${mode || (about.is_capture ? "market data" : "–")}</span>
    <div class="clock num" aria-live="off"><span class="day">${utcDate(about.origin_ns, place.time)}</span> <b>${utc(about.origin_ns, place.time)}</b> <span class="dim">UTC</span> <span class="dim local">${localTime(about.origin_ns, place.time)}</span></div>
    <div class="seq num" title="the record at the cursor">${seq === null ? "…" : grouped(seq)}<span class="dim"> / ${grouped(about.last_seq)}</span></div>
    <form onSubmit=${go}><input id="goto" name="place" placeholder="record or time" aria-label="go to a record or a time" autocomplete="off" spellcheck="false" size="13" /></form>
    <div class="group"><select aria-label="kind of act" value=${kind} onChange=${(event) => (markKind.value = event.target.value)}>${MARKS.map((name) => html`<option value=${name} selected=${name === kind}>${name}</option>`)}</select>
      <button title="previous [" aria-label=${"previous " + kind} onClick=${() => jump(kind, "back")}>◂</button><button title="next ]" aria-label=${"next " + kind} onClick=${() => jump(kind, "on")}>▸</button></div>
    <div class="group">${SPEEDS.map((speed) => html`<button class=${play === speed ? "on" : ""} aria-pressed=${play === speed} title=${`play at ${speed} times session time`} onClick=${() => (playing.value = play === speed ? 0 : speed)}>${speed}×</button>`)}</div>
    ${about.is_live && html`<button class=${"live " + (glued ? "on" : "")} aria-pressed=${glued} onClick=${goLive}>${glued ? "● live" : "go live"}</button>`}
    ${text && html`<span class="notice" role="status">${text}</span>`}
    <span class="spring"></span>
    <button class="plain" onClick=${nextTheme} title="light, dark, as the system">${{ auto: "◐", light: "○", dark: "●" }[theme.value]}</button>
    <button class="plain" onClick=${() => (helpOpen.value = true)} aria-label="help" title="help ?">?</button>
  </header>`;
}

function Tabs({ tabs, current, label }) {
  const now = use(current);
  const move = (event) => {
    const place = tabs.findIndex(([key]) => key === now), next = event.key === "ArrowRight" ? place + 1 : event.key === "ArrowLeft" ? place - 1 : -1;
    if (!tabs[next]) return;
    event.stopPropagation();
    event.preventDefault();
    current.value = tabs[next][0];
    event.currentTarget.children[next].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>${tabs.map(([key, name]) => html`<button role="tab" id=${`tab-${key}`} aria-selected=${now === key} tabindex=${now === key ? 0 : -1} onClick=${() => (current.value = key)}>${name}</button>`)}</div>`;
}

function Help() {
  if (!use(helpOpen)) return null;
  return html`<div class="veil" onClick=${() => (helpOpen.value = false)}><div class="help" role="dialog" aria-label="keys"><h2>Keys</h2><dl>${HELP.map(([keys, what]) => html`<dt><kbd>${keys}</kbd></dt><dd>${what}</dd>`)}</dl>
    <p>Blue is a buy, orange a sell; a filled triangle is a fill, pointing up for a buy; a hollow diamond is an intent that risk refused. Every number that can be clicked leads to its record.</p></div></div>`;
}

function One() {
  use(head);
  const bottom = use(dock), right = use(side), plot = use(plotTab);
  const Bottom = (DOCK.find(([key]) => key === bottom) || DOCK[0])[2], Right = (SIDE.find(([key]) => key === right) || SIDE[0])[2];
  return html`<div class="one"><${AtCursor} /><${Top} /><${Rail} />
    <main class="plots" aria-label="plots"><div class="tabs small" role="tablist" aria-label="plot">${[["price", "Price and own acts"], ["book", "Book heat map"]].map(([key, name]) => html`<button role="tab" aria-selected=${plot === key} onClick=${() => (plotTab.value = key)}>${name}</button>`)}
      <span class="spring"></span><span class="dim num range">${span(view.value[1] - view.value[0])}</span>
      <button onClick=${() => zoom(2)} aria-label="zoom out">−</button><button onClick=${() => zoom(0.5)} aria-label="zoom in">+</button><button onClick=${() => setView(0, head.value.last_time)}>whole</button></div>
      ${plot === "book" ? html`<${Heat} />` : html`<${Price} />`}<${Lines} /></main>
    <aside class="side" aria-label="about the cursor"><${Tabs} tabs=${SIDE} current=${side} label="about the cursor" /><div class="pane" role="tabpanel" aria-labelledby=${`tab-${right}`}><${Right} /></div></aside>
    <section class="dock" aria-label="tables"><${Tabs} tabs=${DOCK} current=${dock} label="tables" /><div class="pane" role="tabpanel" aria-labelledby=${`tab-${bottom}`}><${Bottom} /></div></section>
    <${Help} /></div>`;
}

function Overview() {
  const [state, setState] = useState({ rows: null, error: "" });
  useEffect(() => {
    let alive = true;
    const read = () => get("sessions").then((rows) => alive && setState({ rows, error: "" })).catch((error) => alive && setState((before) => ({ ...before, error: error.message })));
    read();
    const again = setInterval(read, 5000);
    return () => { alive = false; clearInterval(again); };
  }, []);
  use(theme);
  const day = (row) => (row.start_ns ? `${utcDate(row.start_ns, 0)} ${utc(row.start_ns, 0, 0)}` : "");
  const columns = [
    { name: "", text: (row) => (row.is_live ? "●" : ""), tone: (row) => (row.is_live ? "good" : ""), width: "22px" },
    { name: "session", text: (row) => row.id, tone: () => "strong" }, { name: "start (UTC)", text: day, width: "150px" },
    { name: "length", text: (row) => (row.span === undefined ? "" : span(row.span)), sort: (row) => row.span ?? 0, right: true },
    { name: "records", text: (row) => grouped(row.records), sort: (row) => row.records ?? 0, right: true },
    { name: "account", text: (row) => row.account || "" }, { name: "instruments", text: (row) => (row.instruments || []).map(symbol).join(", ") },
    { name: "strategies", text: (row) => (row.strategies || []).join(", ") },
    { name: "P&L", text: (row) => (row.pnl === undefined ? "" : `${signed(row.pnl)} ${row.currency}`), sort: (row) => row.pnl ?? 0, right: true, title: () => "after fees, as last reported" },
    { name: "mode", text: (row) => row.mode || "" , tone: (row) => (row.mode === "halted" ? "alarm-text" : row.mode === "paused" ? "warn-text" : "") },
    { name: "ended", text: (row) => row.ended, tone: (row) => (row.ended === "closed" || row.ended === "running" ? "dim" : "warn-text"), title: (row) => row.problem },
  ];
  return html`<div class="overview"><header class="top"><div class="name"><b>Verbatim</b> <span class="dim">cockpit</span></div><span class="dim">${state.rows ? `${grouped(state.rows.length)} sessions, ${state.rows.filter((row) => row.is_live).length} running` : ""}</span><span class="spring"></span><button class="plain" onClick=${nextTheme} title="light, dark, as the system">${{ auto: "◐", light: "○", dark: "●" }[theme.value]}</button></header>
    <${Table} columns=${columns} rows=${state.rows || []} label="sessions" onPick=${(row) => (location.hash = `#/s/${encodeURIComponent(row.id)}`)} empty=${state.error || (state.rows ? "no sessions here" : "reading sessions …")} /></div>`;
}

function App() {
  const name = use(session), about = use(head), share = use(loaded), text = use(notice);
  if (!name) return html`<${Overview} />`;
  if (!about) return html`<div class="boot"><p>${text || `reading ${name} … ${share < 1 ? Math.round(share * 100) + " %" : ""}`}</p>${share < 1 && !text && html`<progress value=${share}></progress>`}${text && html`<p><a href="#/">all sessions</a></p>`}</div>`;
  return html`<${One} />`;
}

export function start() {
  addEventListener("hashchange", readAddress);
  let timer = 0;
  effect(() => {
    [cursor, view, selected, recordSeq, dock, side, plotTab, instrument, following].forEach((each) => each.value);
    clearTimeout(timer);
    timer = setTimeout(writeAddress, 250);
  });
  const place = document.getElementById("app");
  place.className = "";
  place.textContent = "";
  render(html`<${App} />`, place);
  readAddress();
}
if (!source.offline && !document.getElementById("report-data")) start();
export { short };

// All sessions, one in each row.

import { html, theme, use, useEffect, useState } from "./store.js";
import { get } from "./api.js";
import { grouped, signed, span, utc, utcDate } from "./format.js";
import { Table } from "./table.js";
import { nextTheme } from "./theme.js";

export function Overview() {
  const [state, setState] = useState({ rows: null, error: "" });
  useEffect(() => {
    let alive = true;
    const read = () =>
      get("sessions")
        .then((rows) => alive && setState({ rows, error: "" }))
        .catch((error) => alive && setState((before) => ({ ...before, error: error.message })));
    read();
    const again = setInterval(read, 5000);
    return () => {
      alive = false;
      clearInterval(again);
    };
  }, []);
  use(theme);
  const day = (row) => (row.start_ns ? `${utcDate(row.start_ns, 0)} ${utc(row.start_ns, 0, 0)}` : "");
  const columns = [
    { name: "", text: (row) => (row.is_live ? "●" : ""), tone: (row) => (row.is_live ? "good" : ""), width: "22px" },
    { name: "session", text: (row) => row.id, tone: () => "strong" },
    { name: "start (UTC)", text: day, width: "150px" },
    {
      name: "length",
      text: (row) => (row.span === undefined ? "" : span(row.span)),
      sort: (row) => row.span ?? 0,
      right: true,
    },
    { name: "records", text: (row) => grouped(row.records), sort: (row) => row.records ?? 0, right: true },
    { name: "account", text: (row) => row.account || "" },
    { name: "instruments", text: (row) => (row.instruments || []).join(", ") },
    { name: "strategies", text: (row) => (row.strategies || []).join(", ") },
    {
      name: "P&L",
      text: (row) => (row.pnl === undefined ? "" : `${signed(row.pnl)} ${row.currency}`),
      sort: (row) => row.pnl ?? 0,
      right: true,
      title: () => "after fees, as last reported",
    },
    {
      name: "mode",
      text: (row) => (row.mode && !row.is_live ? `was ${row.mode}` : row.mode || ""),
      tone: (row) =>
        row.mode === "halted" ? "alarm-text" : !row.is_live ? "dim" : row.mode === "paused" ? "warn-text" : "",
    },
    {
      name: "ended",
      text: (row) => row.ended,
      tone: (row) => (row.ended === "closed" || row.ended === "running" ? "dim" : "warn-text"),
      title: (row) => row.problem,
    },
  ];
  return html`<div class="overview">
    <header class="top">
      <div class="name"><b>Verbatim</b> <span class="dim">cockpit</span></div>
      <span class="dim"
        >${
          state.rows
            ? `${grouped(state.rows.length)} sessions, ${state.rows.filter((row) => row.is_live).length} running`
            : ""
        }</span
      ><span class="spring"></span
      ><button class="plain" onClick=${nextTheme} title="light, dark, as the system">
        ${{ auto: "◐", light: "○", dark: "●" }[theme.value]}
      </button>
    </header>
    <${Table}
      columns=${columns}
      rows=${state.rows || []}
      label="sessions"
      onPick=${(row) => (location.hash = `#/s/${encodeURIComponent(row.id)}`)}
      empty=${state.error || (state.rows ? "no sessions here" : "reading sessions …")}
    />
  </div>`;
}

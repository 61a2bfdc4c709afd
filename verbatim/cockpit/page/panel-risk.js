// I: mode, use of each limit, refusals, breakers; commands to a running session.

import {
  cursor,
  goTo,
  head,
  html,
  of,
  recordSeq,
  selectOrder,
  use,
  useAnswer,
  useState,
  openRecord,
  confirming,
  goLive,
  useEffect,
  useRef,
} from "./store.js";
import { commandToken, post } from "./api.js";
import { at, atSeq, when } from "./cursor.js";
import { grouped, short, words } from "./format.js";
import { Mode } from "./mode.js";

export function Risk() {
  const answer = useAnswer(
    () => head.value && atSeq() !== null && { path: of("refusals"), parameters: { seq: atSeq() } },
    250,
  );
  const now = use(at);
  use(cursor);
  use(head);
  const data = answer.value;
  const mode = now?.mode;
  const limits = Object.entries(data?.limits || {});
  return html`<div class="scroll pad">
    <div class="mode">
      <${Mode} none="no mode yet" />${" "} ${mode && html`<span class="dim">since ${when(mode[1])}</span>`}
      ${(mode?.[3] || []).map((reason) => html`<div class="warn-text">${reason}</div>`)}
    </div>
    <${Controls} />
    <h3>limits, at the last verdict before the cursor</h3>
    <div class="limits" role="list">
      ${limits.map(([name, [before, limit, after, seq]]) => {
        const shown = Number(limit) ? Math.max(Math.min(Math.abs(Number(after)) / Math.abs(Number(limit)), 1), 0) : 0;
        return html`<button
          role="listitem"
          class="limit"
          title=${`verdict ${seq}: ${short(before)} before, ${short(after)} with the order, limit ${short(limit)}`}
          onClick=${() => openRecord(seq)}
        >
          <span class="name">${words(name)}</span
          ><span class="bar"
            ><i class=${shown > 0.999 ? "full" : shown > 0.8 ? "near" : ""} style=${{ width: `${shown * 100}%` }}></i
          ></span>
          <span class="num">${short(after, 4)} / ${short(limit, 4)}</span>
        </button>`;
      })}
    </div>
    ${!limits.length && html`<p class="quiet">${answer.error || "no verdict before the cursor states figures"}</p>`}
    <h3>refusals ${data ? html`<span class="dim">${grouped(data.total)}</span>` : ""}</h3>
    ${Object.entries(data?.rules || {})
      .sort((a, b) => b[1].count - a[1].count)
      .map(
        ([name, rule]) =>
          html`<button
            class="refusal"
            onClick=${() => {
              recordSeq.value = rule.seq;
              selectOrder(rule.id);
              goTo(rule.seq, rule.time);
            }}
          >
            <b>${words(name)}</b> <span class="num">${grouped(rule.count)}×</span>${" "}
            <span class="dim">last ${when(rule.time)}</span>
            <div>${rule.text}</div>
          </button>`,
      )}
    ${data && !data.total && html`<p class="quiet">none before the cursor</p>`}
    <h3>breakers, blocks, safety orders</h3>
    ${(now?.safety || [])
      .slice(0, 12)
      .map(
        (row) =>
          html`<button class="refusal" onClick=${() => openRecord(row[0], row[1])}>
            <span class="dim">${when(row[1])}</span> ${row[3]}
          </button>`,
      )}
    ${now && !now.safety.length && html`<p class="quiet">none before the cursor</p>`}
    <h3>commands</h3>
    ${(now?.commands || []).map(
      (row) =>
        html`<button class="refusal" onClick=${() => openRecord(row[0], row[1])}>
          <b>${words(row[2])}</b> by ${row[3] || "?"} <span class="dim">${when(row[1])}</span>
          <div class="dim">${row[4]}</div>
        </button>`,
    )}
  </div>`;
}

const EFFECTS = {
  halt: "Nothing more is placed until a person resumes. Open orders stay.",
  cancel_all: "Cancels every own order, and places nothing until a person resumes.",
  flatten: "Cancels every own order, closes every position, and places nothing until a person resumes.",
  stop: "Ends the session in order: orders are cancelled, protecting ones as their plan says. Positions stay.",
};

function Controls() {
  const open = use(confirming);
  const [typed, setTyped] = useState("");
  const [said, setSaid] = useState("");
  const field = useRef(null);
  useEffect(() => {
    setTyped("");
    field.current?.focus();
  }, [open]);
  if (!head.value.is_live) return html`<p class="quiet">The session has ended: there is nothing to command.</p>`;
  if (!commandToken()) return html`<p class="quiet">This cockpit is read-only.</p>`;
  const send = async (command, confirm = "") => {
    setSaid("sending …");
    try {
      const headers = { "x-verbatim-command": commandToken() };
      const answer = await post(of("command"), { command, confirm, reason: "cockpit" }, headers);
      const reasons = answer.reasons?.length ? ` (${answer.reasons.join("; ")})` : "";
      const notes = answer.notes?.length ? `; ${answer.notes.join("; ")}` : "";
      setSaid(`${words(command)}: record ${answer.seq}; mode ${answer.mode}${reasons}${notes}`);
      confirming.value = null;
      goLive(); // its effect is there, not at an earlier cursor
    } catch (error) {
      setSaid(error.message);
    }
  };
  return html`<div class="controls">
    <div class="row">
      ${["pause", "resume", "reconcile"].map((name) => html`<button onClick=${() => send(name)}>${name}</button>`)}
      ${Object.entries(EFFECTS).map(
        ([name, effect]) =>
          html`<button
            class="danger"
            aria-pressed=${open === name}
            title=${effect}
            onClick=${() => (confirming.value = name)}
          >
            ${words(name)}
          </button>`,
      )}
    </div>
    ${
      open &&
      html`<form
        class="confirm"
        onSubmit=${(event) => {
          event.preventDefault();
          send(open, typed);
        }}
      >
        <p>${EFFECTS[open]}</p>
        <label
          >Type <b>${head.value.id}</b> to confirm${" "}
          <input
            ref=${field}
            value=${typed}
            onInput=${(event) => setTyped(event.target.value)}
            onKeyDown=${(event) => {
              event.stopPropagation();
              if (event.key === "Escape") confirming.value = null;
            }}
            size="10"
            spellcheck="false"
            autocomplete="off"
        /></label>
        <button class="danger" disabled=${typed !== head.value.id}>${words(open)} now</button>${" "}
        <button type="button" onClick=${() => (confirming.value = null)}>no</button>
      </form>`
    }
    ${said && html`<p role="status">${said}</p>`}
  </div>`;
}

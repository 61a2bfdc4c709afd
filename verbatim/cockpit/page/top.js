// The head line of a session, rows of tabs, and the help.

import {
  cursor,
  following,
  goTo,
  goLive,
  head,
  helpOpen,
  html,
  instrument,
  jump,
  markKind,
  moveTo,
  notice,
  playing,
  theme,
  use,
  confirming,
  side,
} from "./store.js";
import { at } from "./cursor.js";
import { grouped, localTime, utc, utcDate } from "./format.js";
import { commandToken } from "./api.js";
import { HELP } from "./keys.js";
import { Mode } from "./mode.js";
import { nextTheme } from "./theme.js";

const MARKS = ["decision", "fill", "order", "refusal", "alarm", "mode", "gap", "link", "unknown", "command"];
const SPEEDS = [1, 10, 60, 300, 1000];

// the controls of a running session, with the strongest command asked for
function askToStop() {
  side.value = "risk";
  confirming.value = "flatten";
}

export function Top() {
  const about = use(head),
    place = use(cursor),
    play = use(playing),
    glued = use(following),
    kind = use(markKind),
    now = use(at),
    text = use(notice),
    index = use(instrument);
  use(theme);
  const seq = place.seq ?? (now && Math.abs(now.time - place.time) < 1e12 ? now.seq : null);
  const go = (event) => {
    event.preventDefault();
    const given = new FormData(event.target).get("place").trim();
    event.target.querySelector("input").blur();
    event.target.reset();
    if (/^\d{1,12}$/.test(given))
      goTo(Math.min(Number(given), about.last_seq)).catch((error) => (notice.value = error.message));
    else if (/^\d{1,2}:\d\d(:\d\d(\.\d{1,9})?)?$/.test(given)) {
      const [h, m, s = "0"] = given.split(":"),
        day = 86400000000000n,
        origin = BigInt(about.origin_ns);
      let time =
        Number((BigInt(h) * 3600n + BigInt(m) * 60n) * 1000000000n) +
        Math.round(Number(s) * 1e9) -
        Number(origin % day);
      if (time < 0) time += Number(day);
      moveTo(time);
    } else notice.value = "write a record, as 48212, or a time of day, as 13:45:10.25";
  };
  return html`<header class="top">
    <a class="home" href="#/" title="all sessions" aria-label="all sessions">⌂</a>
    <div class="name">
      <b>${about.id}</b>${" "}
      <span class="dim">${about.is_capture ? "capture" : about.strategies.map((each) => each.name).join(", ")}</span>
    </div>
    ${
      about.instruments.length > 1
        ? html`<select
            aria-label="instrument"
            value=${String(index)}
            onChange=${(event) => (instrument.value = Number(event.target.value))}
          >
            ${about.instruments.map(
              (each, place) => html`<option value=${String(place)} selected=${place === index}>${each.symbol}</option>`,
            )}
          </select>`
        : html`<span class="dim">${about.instruments[0]?.symbol || ""}</span>`
    }
    <${Mode} none=${about.is_capture ? "market data" : "–"} />
    <div class="clock num" aria-live="off">
      <span class="day">${utcDate(about.origin_ns, place.time)}</span> <b>${utc(about.origin_ns, place.time)}</b>${" "}
      <span class="dim">UTC</span> <span class="dim local">${localTime(about.origin_ns, place.time)}</span>
    </div>
    <div class="seq num" title="the record at the cursor">
      ${seq === null ? "…" : grouped(seq)}<span class="dim"> / ${grouped(about.last_seq)}</span>
    </div>
    <form onSubmit=${go}>
      <input
        id="goto"
        name="place"
        placeholder="record or time"
        aria-label="go to a record or a time"
        autocomplete="off"
        spellcheck="false"
        size="13"
      />
    </form>
    <div class="group">
      <select aria-label="kind of act" value=${kind} onChange=${(event) => (markKind.value = event.target.value)}>
        ${MARKS.map((name) => html`<option value=${name} selected=${name === kind}>${name}</option>`)}
      </select>
      <button title="previous [" aria-label=${"previous " + kind} onClick=${() => jump(kind, "back")}>◂</button
      ><button title="next ]" aria-label=${"next " + kind} onClick=${() => jump(kind, "on")}>▸</button>
    </div>
    <div class="group">
      ${SPEEDS.map(
        (speed) =>
          html`<button
            class=${play === speed ? "on" : ""}
            aria-pressed=${play === speed}
            title=${`play at ${speed} times session time`}
            onClick=${() => (playing.value = play === speed ? 0 : speed)}
          >
            ${speed}×
          </button>`,
      )}
    </div>
    ${
      about.is_live &&
      html`<button class=${"live " + (glued ? "on" : "")} aria-pressed=${glued} onClick=${goLive}>
        ${glued ? "● live" : "go live"}
      </button>`
    }
    ${about.is_live && commandToken() && html`<button class="danger" onClick=${askToStop}>stop …</button>`}
    ${text && html`<span class="notice" role="status">${text}</span>`}
    <span class="spring"></span>
    <button class="plain corner" onClick=${nextTheme} title="light, dark, as the system">
      ${{ auto: "◐", light: "○", dark: "●" }[theme.value]}
    </button>
    <button class="plain corner" onClick=${() => (helpOpen.value = true)} aria-label="help" title="help ?">?</button>
  </header>`;
}

export function Tabs({ tabs, current, label }) {
  const now = use(current);
  const move = (event) => {
    const place = tabs.findIndex(([key]) => key === now),
      next = event.key === "ArrowRight" ? place + 1 : event.key === "ArrowLeft" ? place - 1 : -1;
    if (!tabs[next]) return;
    event.stopPropagation();
    event.preventDefault();
    current.value = tabs[next][0];
    event.currentTarget.children[next].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
    ${tabs.map(
      ([key, name]) =>
        html`<button
          role="tab"
          id=${`tab-${key}`}
          aria-selected=${now === key}
          tabindex=${now === key ? 0 : -1}
          onClick=${() => (current.value = key)}
        >
          ${name}
        </button>`,
    )}
  </div>`;
}

export function Help() {
  if (!use(helpOpen)) return null;
  return html`<div class="veil" onClick=${() => (helpOpen.value = false)}>
    <div class="help" role="dialog" aria-label="keys">
      <h2>Keys</h2>
      <dl>
        ${HELP.map(
          ([keys, what]) =>
            html`<dt><kbd>${keys}</kbd></dt>
              <dd>${what}</dd>`,
        )}
      </dl>
      <p>
        Blue is a buy, orange a sell; a filled triangle is a fill, pointing up for a buy; a hollow diamond is an intent
        that risk refused. Every number that can be clicked leads to its record.
      </p>
    </div>
  </div>`;
}

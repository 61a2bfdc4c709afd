// The page: the overview or one session.

import {
  cursor,
  dock,
  effect,
  following,
  head,
  html,
  instrument,
  loaded,
  notice,
  plotTab,
  recordSeq,
  render,
  selected,
  session,
  setView,
  side,
  use,
  view,
  zoom,
} from "./store.js";
import { readAddress, writeAddress } from "./address.js";
import { source } from "./api.js";
import { AtCursor } from "./cursor.js";
import { span } from "./format.js";
import { Heat } from "./heat.js";
import { Overview } from "./overview.js";
import { Lines, Price } from "./price.js";
import { Rail } from "./rail.js";
import { DOCK, SIDE } from "./tabs.js";
import { Help, Tabs, Top } from "./top.js";

function One() {
  use(head);
  const bottom = use(dock),
    right = use(side),
    plot = use(plotTab);
  const Bottom = (DOCK.find(([key]) => key === bottom) || DOCK[0])[2],
    Right = (SIDE.find(([key]) => key === right) || SIDE[0])[2];
  return html`<div class="one">
    <${AtCursor} /><${Top} /><${Rail} />
    <main class="plots" aria-label="plots">
      <div class="tabs small" role="tablist" aria-label="plot">
        ${[
          ["price", "Price and own acts"],
          ["book", "Book heat map"],
        ].map(
          ([key, name]) =>
            html`<button role="tab" aria-selected=${plot === key} onClick=${() => (plotTab.value = key)}>
              ${name}
            </button>`,
        )} <span class="spring"></span><span class="dim num range">${span(view.value[1] - view.value[0])}</span>
        <button onClick=${() => zoom(2)} aria-label="zoom out">−</button
        ><button onClick=${() => zoom(0.5)} aria-label="zoom in">+</button
        ><button onClick=${() => setView(0, head.value.last_time)}>whole</button>
      </div>
      ${plot === "book" ? html`<${Heat} />` : html`<${Price} />`}<${Lines} />
    </main>
    <aside class="side" aria-label="about the cursor">
      <${Tabs} tabs=${SIDE} current=${side} label="about the cursor" />
      <div class="pane" role="tabpanel" aria-labelledby=${`tab-${right}`}><${Right} /></div>
    </aside>
    <section class="dock" aria-label="tables">
      <${Tabs} tabs=${DOCK} current=${dock} label="tables" />
      <div class="pane" role="tabpanel" aria-labelledby=${`tab-${bottom}`}><${Bottom} /></div>
    </section>
    <${Help} />
  </div>`;
}

function App() {
  const name = use(session),
    about = use(head),
    share = use(loaded),
    text = use(notice);
  if (!name) return html`<${Overview} />`;
  if (!about)
    return html`<div class="boot">
      <p>${text || `reading ${name} … ${share < 1 ? Math.round(share * 100) + " %" : ""}`}</p>
      ${
        share < 1 && !text && html`<progress value=${share}></progress>`
      }${text && html`<p><a href="#/">all sessions</a></p>`}
    </div>`;
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

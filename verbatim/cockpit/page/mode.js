// The mode at the cursor. At the end of a session that has ended it is in the past tense, without the colour of a mode
// that trades; a halt keeps its colour, because a person must end it.

import { cursor, head, html, use } from "./store.js";
import { at } from "./cursor.js";

export const pastMode = (mode, isClosed) => `${isClosed ? "ended" : "stopped"}${mode ? `, was ${mode}` : ""}`;

export function Mode({ none }) {
  const about = use(head),
    place = use(cursor),
    mode = use(at)?.mode?.[2];
  const isPast = !about.is_live && (place.seq === null ? place.time >= about.last_time : place.seq >= about.last_seq);
  const shown = isPast && mode ? pastMode(mode, about.is_closed) : mode || none;
  return html`<span class=${"pill mode-" + (!mode || (isPast && mode !== "halted") ? "none" : mode)}>${shown}</span>`;
}

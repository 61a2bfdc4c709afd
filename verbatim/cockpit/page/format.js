// Numbers and times as text. Times are nanoseconds since the session's first record, whose own time is a BigInt.

const SECOND = 1e9;

export function utc(originNs, time, digits = 9) {
  const ns = BigInt(originNs) + BigInt(Math.round(time));
  const ms = Number(ns / 1000000n);
  const rest = String(ns % 1000000000n)
    .padStart(9, "0")
    .slice(0, digits);
  const text = new Date(ms).toISOString();
  return text.slice(11, 19) + (digits ? "." + rest : "");
}

export function utcDate(originNs, time) {
  return new Date(Number((BigInt(originNs) + BigInt(Math.round(time))) / 1000000n)).toISOString().slice(0, 10);
}

export function localTime(originNs, time) {
  const at = new Date(Number((BigInt(originNs) + BigInt(Math.round(time))) / 1000000n));
  return at.toLocaleTimeString(undefined, { hour12: false, timeZoneName: "short" });
}

export function absoluteNs(originNs, time) {
  return String(BigInt(originNs) + BigInt(Math.round(time)));
}

export function span(ns) {
  if (ns === null || ns === undefined) return "";
  const size = Math.abs(ns);
  if (size < 1e3) return `${ns} ns`;
  if (size < 1e6) return `${(ns / 1e3).toFixed(size < 1e5 ? 1 : 0)} µs`;
  if (size < SECOND) return `${(ns / 1e6).toFixed(size < 1e8 ? 2 : 1)} ms`;
  if (size < 60 * SECOND) return `${(ns / 1e9).toFixed(2)} s`;
  if (size < 3600 * SECOND) return `${Math.floor(ns / 6e10)} min ${Math.floor((ns % 6e10) / 1e9)} s`;
  return `${Math.floor(ns / 3.6e12)} h ${Math.floor((ns % 3.6e12) / 6e10)} min`;
}

export function scaled(value, scale) {
  const negative = value < 0;
  const digits = String(Math.abs(Math.round(value))).padStart(scale + 1, "0");
  const text = scale ? digits.slice(0, -scale) + "." + digits.slice(-scale) : digits;
  return negative ? "−" + text : text;
}

export function grouped(number) {
  return number === null || number === undefined ? "" : Number(number).toLocaleString("en-US");
}

export function signed(value, digits = 4) {
  const number = Number(value);
  if (!Number.isFinite(number)) return String(value);
  const text = Math.abs(number).toFixed(digits);
  return Number(text) === 0 ? text : (number < 0 ? "−" : "+") + text;
}

export function fixed(value, digits = 4) {
  const number = Number(value);
  return Number.isFinite(number) ? number.toFixed(digits).replace("-", "−") : String(value);
}

// a decimal text, cut to `digits` places but never rounded up to another value
export function short(value, digits = 8) {
  if (value === null || value === undefined || value === "") return "";
  const text = String(value);
  const at = text.indexOf(".");
  return (at < 0 ? text : text.slice(0, at + 1 + digits)).replace("-", "−");
}

export function shortId(id) {
  const parts = String(id).split("-");
  return parts.length > 2 && parts[0].length === 8 ? parts.slice(1).join("-") : String(id);
}

let hasVenues = false; // the session has several venues, so a symbol alone would be ambiguous

export function nameVenues(instruments) {
  hasVenues = new Set(instruments.map((each) => each.id.split(":")[0])).size > 1;
}

export function symbol(id) {
  return hasVenues ? String(id) : String(id).split(":").pop();
}

// a price with as many places as the instrument's tick, or more if it has them
export function atTick(text, tick) {
  const places = (tick.split(".")[1] || "").replace(/0+$/, "").length,
    [whole, rest = ""] = String(text).split(".");
  return places || rest ? `${whole}.${rest.padEnd(places, "0")}` : whole;
}

export const percent = (share) => (share === null || share === undefined ? "–" : `${(share * 100).toFixed(1)} %`);

// a class attribute from names, of which false ones are left out
export const classes = (...names) => names.filter(Boolean).join(" ");

export function words(name) {
  return String(name).replaceAll("_", " ");
}

// Indents JSON without parsing it: a parsed number of 64 bits would lose digits.
// Lists of plain values stay on one line.
const TOKEN = /\[(?:"(?:[^"\\]|\\.)*"|[^[\]{}"])*\]|"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;
export function pretty(text) {
  if (!/^\s*[[{]/.test(text)) return text;
  let found = "",
    depth = 0;
  const next = () => "\n" + "  ".repeat(Math.max(depth, 0));
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "{" || token === "[") {
      depth += 1;
      found += token + next();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      found = /[{[]\s*$/.test(found) ? found.trimEnd() + token : found + next() + token;
    } else if (token === ",") found += "," + next();
    else if (token === ":") found += ": ";
    else found += token;
  }
  return found;
}

// Questions to the server; in a report, answers from the page itself (report.js sets `offline`).

export const source = { offline: null };

export class Refused extends Error {}

export async function get(path, parameters = {}, signal) {
  if (source.offline) return source.offline(path, parameters);
  const query = new URLSearchParams(
    Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null),
  );
  for (;;) {
    const answer = await fetch(`/api/${path}?${query}`, { signal, credentials: "same-origin" });
    const found = await read(answer);
    if (found && typeof found === "object" && "loading" in found) {
      progress.listener(found.loading);
      await new Promise((resume) => setTimeout(resume, 250));
      continue;
    }
    return found;
  }
}

export const progress = { listener: () => {} };

export async function post(path, fields, headers = {}) {
  if (source.offline) throw new Refused("this page is a file: it has no server");
  const answer = await fetch(`/api/${path}`, {
    method: "POST",
    credentials: "same-origin",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(fields),
  });
  return read(answer);
}

async function read(answer) {
  const text = await answer.text();
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Refused(text.slice(0, 300) || `the server answered ${answer.status}`);
  }
  if (!answer.ok) throw new Refused(found.error || `the server answered ${answer.status}`);
  return found;
}

export const commandToken = () => document.querySelector('meta[name="command-token"]')?.content || "";

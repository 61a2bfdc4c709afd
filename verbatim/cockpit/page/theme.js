// Light, dark, or as the system says.

import { effect, head, theme, view } from "./store.js";

export function nextTheme() {
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

// Makes elements. Text is always set as text, so nothing from the data can become markup.

export type Child = Node | string | null;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child): child is Node | string => child !== null));
  return made;
}

/** A Chinese word with its English one beside it, smaller. */
export function bilingual(zh: string, en: string): DocumentFragment {
  const pair = document.createDocumentFragment();
  pair.append(el("span", { class: "zh" }, zh), el("span", { class: "en", lang: "en" }, en));
  return pair;
}

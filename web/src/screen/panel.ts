// A panel: a title, a body, words for when there is nothing, and a veil over what is no longer live.
import type { Freshness } from "../api/freshness.ts";
import { bilingual, el } from "./dom.ts";

export interface PanelWords {
  readonly zh: string;
  readonly en: string;
  readonly empty: string;
}

export class Panel {
  readonly root: HTMLElement;
  readonly body: HTMLElement;
  readonly note: HTMLElement;
  private readonly message: HTMLElement;
  private readonly veil: HTMLElement;
  private readonly words: PanelWords;

  constructor(name: string, words: PanelWords) {
    this.words = words;
    this.body = el("div", { class: "panel-body" });
    this.note = el("span", { class: "panel-note" });
    this.message = el("p", { class: "panel-empty", hidden: "" });
    this.veil = el("p", { class: "panel-veil", hidden: "" });
    this.root = el(
      "section",
      { class: "panel", "data-panel": name, "data-freshness": "waiting" },
      el("header", { class: "panel-head" }, el("h2", {}, bilingual(words.zh, words.en)), this.note),
      el("div", { class: "panel-frame" }, this.body, this.message, this.veil),
    );
    this.saysNothing("正在读取…… loading");
  }

  /** Shows the body, or the words for an empty one. */
  holds(anything: boolean): void {
    this.message.hidden = anything;
    this.body.classList.toggle("is-empty", !anything);
    if (!anything) this.message.textContent = this.words.empty;
  }

  private saysNothing(text: string): void {
    this.body.classList.add("is-empty");
    this.message.hidden = false;
    this.message.textContent = text;
  }

  /** Old numbers are never shown as live: they fade, and the veil says since when they are old. */
  isAs(state: Freshness, lastUpdate: string | null): void {
    this.root.dataset["freshness"] = state;
    const old = state === "stale" || state === "offline";
    this.veil.hidden = !old || lastUpdate === null;
    if (lastUpdate !== null) this.veil.textContent = `数据截至 ${lastUpdate} · last update`;
    if (state === "offline" && lastUpdate === null) this.saysNothing("暂时读不到数据 · no answer from the API yet");
  }
}

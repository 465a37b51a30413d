// Says whether what the screen shows is live, and since when not.
import type { Freshness } from "../api/freshness.ts";
import { el } from "./dom.ts";

const WORDS: Record<Freshness, string> = {
  waiting: "连接中 connecting",
  live: "实时 live",
  stale: "数据延迟 stale",
  offline: "离线 offline",
};

export class Connection {
  private readonly word = el("span", { class: "connection-word" }, WORDS.waiting);
  private readonly since = el("span", { class: "connection-since" });
  readonly root = el(
    "div",
    { class: "connection", "data-connection": "waiting", role: "status" },
    el("span", { class: "connection-dot" }),
    this.word,
    this.since,
  );

  show(state: Freshness, lastUpdate: string | null): void {
    this.root.dataset["connection"] = state;
    this.word.textContent = WORDS[state];
    this.since.textContent = !lastUpdate ? "尚无数据" : `更新 ${lastUpdate}`;
  }
}

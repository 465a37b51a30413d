// Live warnings, newest first and one for each case; one that was not there before flashes.
import type { AlertItem } from "../api/types.ts";
import { plateColour, spaced } from "../words/plates.ts";
import { newestOfEachCase } from "../words/cases.ts";
import { count, percent } from "../words/numbers.ts";
import { clockOf, moment, spanZh } from "../words/time.ts";
import { shortName, type GateNames } from "../words/gates.ts";
import { el } from "./dom.ts";
import { evidenceButton } from "./evidence.ts";

const SEVERITY = { low: "低 low", medium: "中 medium", high: "高 high", critical: "紧急 critical" } as const;

export class WarningList {
  readonly root = el("ol", { class: "warnings", "aria-live": "polite" });
  private seen: ReadonlySet<string> | null = null;
  private names: GateNames = new Map();
  private shown: readonly AlertItem[] = [];
  private today = "";

  /** Gates may become known after the first warnings. */
  callGates(names: GateNames): void {
    this.names = names;
    this.render(new Set());
  }

  /** `today` is the platform's date; times of another day are written with theirs. */
  show(told: readonly AlertItem[], today: string): void {
    const alerts = newestOfEachCase(told);
    this.today = today;
    const seen = this.seen;
    // On the first answer nothing is new: it only was not looked at yet.
    const fresh = new Set(seen ? alerts.filter((one) => !seen.has(one.alert_id)).map((one) => one.alert_id) : []);
    const same = seen !== null && fresh.size === 0 && alerts.length === this.shown.length;
    this.seen = new Set(alerts.map((one) => one.alert_id));
    this.shown = alerts;
    if (!same) this.render(fresh);
  }

  private render(fresh: ReadonlySet<string>): void {
    this.root.replaceChildren(...this.shown.map((alert) => this.card(alert, fresh.has(alert.alert_id))));
    if (fresh.size > 0) this.root.scrollTop = 0;
  }

  private card(alert: AlertItem, isNew: boolean): HTMLElement {
    const withdrawn = alert.status === "withdrawn";
    const classes = ["warning", `is-${alert.severity}`, isNew ? "is-new" : "", withdrawn ? "is-withdrawn" : ""];
    return el(
      "li",
      { class: classes.filter(Boolean).join(" "), "data-alert": alert.alert_id },
      el(
        "div",
        { class: "warning-head" },
        el("span", { class: `plate plate-${plateColour(alert.hphm, alert.hpzl)}` }, spaced(alert.hphm)),
        el("span", { class: "warning-severity" }, withdrawn ? "已撤销 withdrawn" : SEVERITY[alert.severity]),
        el("span", { class: "warning-confidence", title: "置信度 confidence" }, `置信 ${percent(alert.confidence, 1)}`),
        el("time", { class: "warning-time" }, moment(alert.detected_at, this.today)),
      ),
      el(
        "div",
        { class: "warning-way" },
        this.place(alert.first),
        el("span", { class: "warning-arrow", "aria-hidden": "true" }, "→"),
        this.place(alert.second),
        evidenceButton(alert.alert_id),
      ),
      el(
        "div",
        { class: "warning-facts" },
        fact("间隔 gap", spanZh(alert.gap_seconds)),
        fact("最短行程 minimum", spanZh(alert.min_travel_seconds)),
        fact("推算 implied", alert.implied_kmh === null ? "—" : `${count(alert.implied_kmh)} km/h`),
      ),
    );
  }

  private place(pass: AlertItem["first"]): HTMLElement {
    return el(
      "div",
      { class: "warning-place", title: `${pass.kkmc_name || pass.kkmc} · ${pass.clppxh}` },
      el("span", { class: "warning-gate" }, shortName(pass.kkmc, this.names)),
      el("span", { class: "warning-when" }, clockOf(pass.gcsj)),
    );
  }
}

function fact(name: string, value: string): HTMLElement {
  return el("span", { class: "warning-fact" }, el("i", {}, name), el("b", {}, value));
}

// Live warnings, newest first and one for each case; one that was not there before flashes.
import type { AlertItem, CaseReview, ReviewItem } from "../api/types.ts";
import { plateColour, spaced } from "../words/plates.ts";
import { newestOfEachCase } from "../words/cases.ts";
import { count, percent } from "../words/numbers.ts";
import { outcomeOf, saidBefore } from "../words/reviews.ts";
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
  private reviews: ReadonlyMap<string, ReviewItem> = new Map();
  private today = "";

  /** Of the warnings that are shown. */
  get alertIds(): readonly string[] {
    return this.shown.map((one) => one.alert_id);
  }

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

  /** What people said; nothing stands at a warning whose case nobody reviewed. */
  showReviews(found: readonly CaseReview[]): void {
    this.reviews = new Map(found.map((one) => [one.alert_id, one.review]));
    for (const card of this.root.querySelectorAll<HTMLElement>(".warning")) this.mark(card);
  }

  /** In place, so that a card that flashes goes on flashing. */
  private mark(card: HTMLElement): void {
    const shown = card.dataset["alert"] ?? "";
    const review = this.reviews.get(shown);
    if (card.dataset["review"] === (review && String(review.id))) return;
    card.querySelector(".warning-review")?.remove();
    delete card.dataset["review"];
    if (review === undefined) return;
    card.dataset["review"] = String(review.id);
    card.append(
      el(
        "div",
        { class: `warning-review is-${review.outcome}` },
        el("b", {}, outcomeOf(review)),
        el("span", {}, [saidBefore(review, shown), review.reviewer, moment(review.created_at, this.today)].filter(Boolean).join(" · ")),
      ),
    );
  }

  private render(fresh: ReadonlySet<string>): void {
    this.root.replaceChildren(...this.shown.map((alert) => this.card(alert, fresh.has(alert.alert_id))));
    if (fresh.size > 0) this.root.scrollTop = 0;
  }

  private card(alert: AlertItem, isNew: boolean): HTMLElement {
    const withdrawn = alert.status === "withdrawn";
    const classes = ["warning", `is-${alert.severity}`, isNew ? "is-new" : "", withdrawn ? "is-withdrawn" : ""];
    const card = el(
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
    this.mark(card);
    return card;
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

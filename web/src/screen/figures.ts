// The row of large figures.
import type { CityFlow, DetectionCounts } from "../api/types.ts";
import { count, decimal, percent } from "../words/numbers.ts";
import type { Freshness } from "../api/freshness.ts";
import { bilingual, el } from "./dom.ts";

interface Words {
  readonly zh: string;
  readonly en: string;
  readonly unit: string;
  readonly hint: string;
}

const FIGURES = {
  today: { zh: "今日过车", en: "passes today", unit: "辆", hint: "今日零时至今的过车总数" },
  recent: { zh: "近 5 分钟", en: "last 5 minutes", unit: "辆", hint: "按过车时间" },
  rate: { zh: "实时流率", en: "per second", unit: "辆/秒", hint: "最近一分钟的平均值" },
  observed: {
    zh: "观测率", en: "observed share", unit: "",
    hint: "今日已过去的（卡口，小时）中有过车记录的份额；其余为静默，不等于没有车",
  },
  warnings: { zh: "今日预警", en: "warnings today", unit: "起", hint: "今日判定为套牌的预警" },
  withheld: {
    zh: "不予判定", en: "withheld", unit: "次",
    hint: "号牌不完整（如 苏C12***），同号矛盾无法判定，只计数不报警",
  },
} as const satisfies Record<string, Words>;

type Name = keyof typeof FIGURES;

export class Figures {
  readonly root: HTMLElement;
  private readonly values = new Map<Name, HTMLElement>();
  private readonly tiles = new Map<Name, HTMLElement>();

  constructor() {
    this.root = el("div", { class: "figures" });
    for (const name of Object.keys(FIGURES) as Name[]) {
      const { zh, en, unit, hint } = FIGURES[name];
      const value = el("span", { class: "figure-value", "data-figure": name }, "—");
      const tile = el(
        "div",
        { class: `figure figure-${name}`, title: hint, "data-freshness": "waiting" },
        el("div", { class: "figure-name" }, bilingual(zh, en)),
        el("div", { class: "figure-line" }, value, el("span", { class: "figure-unit" }, unit)),
      );
      this.values.set(name, value);
      this.tiles.set(name, tile);
      this.root.append(tile);
    }
  }

  showFlow(flow: CityFlow): void {
    this.set("today", count(flow.today));
    this.set("recent", count(flow.last_5_min));
    this.set("rate", decimal(flow.per_second, flow.per_second < 10 ? 2 : 1));
    this.set("observed", percent(flow.observed_share));
    // The API may be well while nothing arrives: a live zero must not look like an empty road.
    const quiet = flow.last_5_min === 0 && flow.today > 0;
    this.unit("recent", quiet ? "无新数据 nothing arrives" : FIGURES.recent.unit, quiet);
  }

  showDetection(counts: DetectionCounts): void {
    this.set("warnings", count(counts.warnings_today));
    this.set("withheld", count(counts.withheld));
  }

  flowIs(state: Freshness): void {
    this.mark(["today", "recent", "rate", "observed"], state);
  }

  detectionIs(state: Freshness): void {
    this.mark(["warnings", "withheld"], state);
  }

  private set(name: Name, text: string): void {
    const value = this.values.get(name);
    if (value && value.textContent !== text) value.textContent = text;
  }

  private unit(name: Name, text: string, alarming: boolean): void {
    const unit = this.tiles.get(name)?.querySelector(".figure-unit");
    if (!unit) return;
    unit.textContent = text;
    unit.classList.toggle("is-alarming", alarming);
  }

  private mark(names: readonly Name[], state: Freshness): void {
    for (const name of names) {
      const tile = this.tiles.get(name);
      if (tile) tile.dataset["freshness"] = state;
    }
  }
}

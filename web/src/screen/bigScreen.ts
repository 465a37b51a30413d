// The big screen: panels, what feeds them, and how fresh each is.
import { api } from "../api/client.ts";
import { Feed } from "../api/feed.ts";
import { freshness, worst, type Freshness } from "../api/freshness.ts";
import type { AlertItem, CaseReview, Gate, HourFlow, NamedValue } from "../api/types.ts";
import * as gateMap from "../charts/gateMap.ts";
import * as hourlyFlow from "../charts/hourlyFlow.ts";
import * as origins from "../charts/origins.ts";
import * as topGates from "../charts/topGates.ts";
import * as vehicleTypes from "../charts/vehicleTypes.ts";
import { ChartView } from "../charts/view.ts";
import { byCodename, fullName, shortName } from "../words/gates.ts";
import { percent } from "../words/numbers.ts";
import { clockOf, hourOf, type PlatformClock } from "../words/time.ts";
import { Connection } from "./connection.ts";
import { el } from "./dom.ts";
import { Figures } from "./figures.ts";
import { Panel } from "./panel.ts";
import { WarningList } from "./warningList.ts";

const LIVE = 2_000;
const ROLLUP = 3_000;
const GATES = 30_000;
const LINES_DRAWN = 5;

export class BigScreen {
  readonly root: HTMLElement;
  readonly connection = new Connection();
  onSignInNeeded: (failure: unknown) => void = () => undefined;

  private readonly figures = new Figures();
  private readonly warningList = new WarningList();
  private readonly top = new Panel("top-gates", {
    zh: "卡口流量 Top 10", en: "busiest gates · 24 h", empty: "近 24 小时没有过车 · no passes in 24 h",
  });
  private readonly types = new Panel("vehicle-types", {
    zh: "车辆类型", en: "vehicle types · 24 h", empty: "近 24 小时没有过车 · no passes in 24 h",
  });
  private readonly map = new Panel("gate-map", {
    zh: "卡口分布", en: "gates", empty: "尚无卡口资料：批处理完成后出现 · no gates until the batch has run",
  });
  private readonly curve = new Panel("hourly-flow", {
    zh: "24 小时流量与预测", en: "flow and forecast", empty: "今日没有过车，也没有预测 · no passes and no forecast today",
  });
  private readonly live = new Panel("warnings", {
    zh: "实时预警", en: "cloned plates", empty: "目前没有预警 · no warnings",
  });
  private readonly from = new Panel("origins", {
    zh: "车辆来源地", en: "origins · 24 h", empty: "近 24 小时没有过车 · no passes in 24 h",
  });

  private readonly clock: PlatformClock;
  private readonly startedAt = Date.now();
  private gates: readonly Gate[] = [];
  private counts: readonly NamedValue[] = [];
  private alerts: readonly AlertItem[] = [];
  private hours: readonly HourFlow[] = [];
  private selected: string | null = null;
  private running = 0;
  private readonly charts: Record<"top" | "types" | "map" | "curve" | "from", ChartView>;
  private readonly curveFeed: Feed<HourFlow[]>;
  private readonly reviewFeed: Feed<CaseReview[]>;
  private readonly feeds: readonly (readonly [Feed<never>, (state: Freshness, at: string | null) => void])[];

  constructor(clock: PlatformClock) {
    this.clock = clock;
    const column = (name: string, ...panels: Panel[]) =>
      el("div", { class: `column column-${name}` }, ...panels.map((panel) => panel.root));
    this.root = el(
      "main",
      { class: "big-screen" },
      this.figures.root,
      column("left", this.top, this.types),
      column("middle", this.map, this.curve),
      column("right", this.live, this.from),
    );
    this.live.body.append(this.warningList.root);
    const select = (codename: string) => this.select(codename === this.selected ? null : codename);
    this.charts = {
      top: new ChartView(this.top.body, select),
      types: new ChartView(this.types.body),
      map: new ChartView(this.map.body, select),
      curve: new ChartView(this.curve.body),
      from: new ChartView(this.from.body),
    };
    this.curveFeed = new Feed(ROLLUP, () => api.hourlyFlow(this.selected), (hours) => this.showCurve(hours));
    this.reviewFeed = new Feed(ROLLUP, () => api.reviews(this.warningList.alertIds), (found) => this.warningList.showReviews(found));
    this.feeds = this.wire();
  }

  start(): void {
    for (const [feed] of this.feeds) feed.start();
    this.judge();
    setInterval(() => this.judge(), 1_000);
  }

  /** After signing in every feed asks again at once. */
  restart(): void {
    for (const [feed] of this.feeds) feed.start();
  }

  private wire() {
    const feed = <T>(
      every: number, ask: () => Promise<T>, show: (value: T) => void, tell: (state: Freshness, at: string | null) => void,
    ) => [new Feed(every, ask, show) as unknown as Feed<never>, tell] as const;
    const panel = (one: Panel) => (state: Freshness, at: string | null) => one.isAs(state, at);
    return [
      feed(LIVE, api.cityFlow, (flow) => {
        this.figures.showFlow(flow);
        this.clock.learn(flow.updated_at, Date.now());
        this.running = hourOf(flow.updated_at);
      }, (state) => this.figures.flowIs(state)),
      feed(LIVE, api.detection, (counts) => this.figures.showDetection(counts), (state) => this.figures.detectionIs(state)),
      feed(LIVE, api.warnings, (alerts) => this.showWarnings(alerts), panel(this.live)),
      [this.reviewFeed as unknown as Feed<never>, () => undefined] as const,
      feed(ROLLUP, api.gateCounts, (counts) => this.showCounts(counts), (state, at) => {
        this.top.isAs(state, at);
        this.map.isAs(state, at);
      }),
      [this.curveFeed as unknown as Feed<never>, panel(this.curve)] as const,
      feed(ROLLUP, api.origins, (provinces) => this.showOrigins(provinces), panel(this.from)),
      feed(ROLLUP, api.vehicleTypes, (types) => this.showTypes(types), panel(this.types)),
      feed(GATES, api.gates, (gates) => this.showGates(gates), () => undefined),
    ];
  }

  private select(codename: string | null): void {
    this.selected = codename;
    this.paintTop();
    this.paintMap();
    this.curveFeed.start();
  }

  private showGates(gates: readonly Gate[]): void {
    this.gates = gates;
    this.warningList.callGates(byCodename(gates));
    this.paintTop();
    this.paintMap();
  }

  private showCounts(counts: readonly NamedValue[]): void {
    this.counts = counts;
    this.paintTop();
    this.paintMap();
  }

  private showWarnings(alerts: readonly AlertItem[]): void {
    const newest = alerts[0]?.alert_id !== this.alerts[0]?.alert_id;
    this.alerts = alerts;
    this.live.holds(alerts.length > 0);
    this.warningList.show(alerts, this.clock.text(Date.now()).slice(0, 10));
    if (newest) {
      this.reviewFeed.start();
      this.paintMap();
    }
  }

  private paintTop(): void {
    this.top.holds(this.counts.length > 0);
    const gates = byCodename(this.gates);
    this.charts.top.show(({ scale }) =>
      topGates.transformProps({ counts: this.counts, gates, limit: 10, selected: this.selected, scale }),
    );
  }

  private paintMap(): void {
    const shown = gateMap.placed(this.gates).length;
    this.map.holds(shown > 0);
    const missing = this.gates.length - shown;
    this.map.note.textContent =
      `位置为近似 approximate positions${missing > 0 ? ` · ${missing} 个卡口无坐标 without position` : ""}`;
    this.charts.map.show(({ aspect, scale }) =>
      gateMap.transformProps({
        gates: this.gates, counts: this.counts, warnings: this.alerts.slice(0, LINES_DRAWN),
        selected: this.selected, aspect, scale,
      }),
    );
  }

  private showCurve(hours: readonly HourFlow[]): void {
    this.hours = hours;
    const forecast = hours.some((hour) => hour.forecast !== null);
    this.curve.holds(forecast || hours.some((hour) => hour.value > 0));
    const names = byCodename(this.gates);
    this.curve.note.replaceChildren(
      this.selected
        ? this.chip(shortName(this.selected, names), fullName(this.selected, names))
        : "全部卡口 all gates · 点选卡口可单看",
      forecast ? "" : el("span", { class: "panel-absent" }, "暂无预测 no forecast"),
    );
    this.charts.curve.show(({ scale }) =>
      hourlyFlow.transformProps({ hours: this.hours, running: this.running, scale }),
    );
  }

  private chip(name: string, title: string): HTMLElement {
    const chip = el("button", { class: "chip", type: "button", title }, `${name} ✕`);
    chip.addEventListener("click", () => this.select(null));
    return chip;
  }

  private showOrigins(provinces: readonly NamedValue[]): void {
    const home = origins.homeShare(provinces);
    this.from.holds(home !== null);
    this.from.note.textContent = home ? `${home.name} ${percent(home.share)} · 面积按平方根` : "";
    this.charts.from.show(({ scale }) => origins.transformProps({ provinces, scale }));
  }

  private showTypes(types: readonly NamedValue[]): void {
    this.types.holds(types.some((type) => type.value > 0));
    this.charts.types.show(({ scale }) => vehicleTypes.transformProps({ types, scale }));
  }

  /** Once a second: how fresh is each source, and so the whole. */
  private judge(): void {
    const now = Date.now();
    const states = this.feeds.map(([feed, tell]) => {
      const state = freshness(feed.source, now, this.startedAt);
      tell(state, feed.answeredAt === null ? null : this.timeOf(feed.answeredAt));
      if (feed.failure) this.onSignInNeeded(feed.failure);
      return state;
    });
    const answers = this.feeds.map(([feed]) => feed.answeredAt).filter((at): at is number => at !== null);
    this.connection.show(worst(states), answers.length ? this.timeOf(Math.max(...answers)) : null);
  }

  private timeOf(moment: number): string {
    return clockOf(this.clock.text(moment));
  }
}

// The query page: a form, a table, and paging.
import { api, ApiProblem } from "../api/client.ts";
import type { Gate, PassItem, PassPage } from "../api/types.ts";
import { bilingual, el } from "../screen/dom.ts";
import { byCodename, fullName, shortName, type GateNames } from "../words/gates.ts";
import { count } from "../words/numbers.ts";
import { plateColour, spaced } from "../words/plates.ts";
import { pages, toQuery, type Filled } from "./form.ts";

const TYPES: readonly (readonly [string, string])[] = [
  ["", "全部 all"], ["02", "02 小型汽车"], ["01", "01 大型汽车"], ["52", "52 小型新能源"], ["51", "51 大型新能源"],
  ["13", "13 低速车"], ["22", "22 临时行驶车"], ["23", "23 公安警车"], ["-", "- 未知 unknown"],
];
const DIRECTIONS: readonly (readonly [string, string])[] = [["", "全部 all"], ["1", "1"], ["2", "2"], ["3", "3"], ["4", "4"]];
const SIZES = [20, 50, 100, 200];
const COLUMNS: readonly (readonly [string, string])[] = [
  ["过车时间", "time"], ["号牌", "plate"], ["卡口", "gate"], ["行政区划", "district"], ["方向", "dir."],
  ["车辆类型", "type"], ["品牌型号", "brand"], ["来源", "origin"], ["序号", "pass id"],
];

export class QueryPage {
  readonly root: HTMLElement;
  private readonly plate = el("input", { name: "hphm", placeholder: "苏C12345 · 苏C*45 · 苏C1?345", autocomplete: "off" });
  private readonly gate = el("input", { name: "kkmc", list: "gate-list", placeholder: "全部 all", autocomplete: "off" });
  private readonly gateList = el("datalist", { id: "gate-list" });
  private readonly start = el("input", { name: "start", type: "datetime-local", step: "1" });
  private readonly end = el("input", { name: "end", type: "datetime-local", step: "1" });
  private readonly type = options("hpzl", TYPES);
  private readonly direction = options("fxlx", DIRECTIONS);
  private readonly size = options("size", SIZES.map((size) => [String(size), `${size} 条/页`] as const));
  private readonly body = el("tbody");
  private readonly status = el("p", { class: "query-status", role: "status" });
  private readonly where = el("span", { class: "pager-where" });
  private readonly previous = el("button", { type: "button", class: "pager-button" }, "← 上一页 previous");
  private readonly next = el("button", { type: "button", class: "pager-button" }, "下一页 next →");
  private names: GateNames = new Map();
  private asked = 0;
  private page = 1;
  private filled: Filled = { hphm: "", kkmc: "", start: "", end: "", hpzl: "", fxlx: "" };

  constructor() {
    const form = el(
      "form",
      { class: "query-form", "aria-label": "查询 query" },
      field("号牌", "plate (* ?)", this.plate),
      field("卡口", "gate", this.gate),
      field("起始", "from", this.start),
      field("截止", "to", this.end),
      field("类型", "type", this.type),
      field("方向", "direction", this.direction),
      el(
        "div",
        { class: "query-buttons" },
        el("button", { type: "submit", class: "button-main" }, "查询 Search"),
        el("button", { type: "reset", class: "button-plain" }, "清空 Clear"),
      ),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.filled = this.read();
      void this.load(1);
    });
    this.size.addEventListener("change", () => void this.load(1));
    this.previous.addEventListener("click", () => void this.load(this.page - 1));
    this.next.addEventListener("click", () => void this.load(this.page + 1));
    this.root = el(
      "main",
      { class: "query-page", hidden: "" },
      form,
      this.gateList,
      el(
        "div",
        { class: "query-result" },
        el(
          "table",
          { class: "passes" },
          el("thead", {}, el("tr", {}, ...COLUMNS.map(([zh, en]) => el("th", { scope: "col" }, bilingual(zh, en))))),
          this.body,
        ),
        this.status,
      ),
      el("nav", { class: "pager", "aria-label": "翻页 pages" }, this.size, this.where, this.previous, this.next),
    );
    this.turnTo({ total: 0, page: 1, size: 20, next_cursor: null, items: [] });
    this.status.textContent = "填写条件后查询，留空即全部。号牌中 * 代表任意多个字符，? 代表一个。Leave empty for all.";
  }

  /** On first sight the newest passes are shown, so that the table explains itself. */
  open(): void {
    this.root.hidden = false;
    void this.loadGates();
    if (this.asked === 0) void this.load(1);
  }

  private read(): Filled {
    return {
      hphm: this.plate.value, kkmc: this.gate.value, start: this.start.value, end: this.end.value,
      hpzl: this.type.value, fxlx: this.direction.value,
    };
  }

  private async loadGates(): Promise<void> {
    try {
      const gates: Gate[] = await api.gates();
      this.names = byCodename(gates);
      this.gateList.replaceChildren(
        ...gates.map((gate) => el("option", { value: gate.kkmc }, `${shortName(gate.kkmc, this.names)} · ${gate.name}`)),
      );
    } catch {
      // Without the list a gate can still be typed.
    }
  }

  private async load(page: number): Promise<void> {
    const turn = ++this.asked;
    this.status.className = "query-status";
    this.status.textContent = "查询中…… searching";
    this.root.classList.add("is-busy");
    try {
      const found = await api.query(toQuery(this.filled, page, Number(this.size.value)));
      if (turn === this.asked) this.turnTo(found);
    } catch (error) {
      if (turn === this.asked) this.fail(error);
    } finally {
      if (turn === this.asked) this.root.classList.remove("is-busy");
    }
  }

  private turnTo(found: PassPage): void {
    this.page = found.page;
    const last = pages(found.total, found.size);
    this.body.replaceChildren(...found.items.map((item) => this.row(item)));
    this.status.textContent = found.items.length ? "" : "没有符合条件的过车记录 · no pass matches";
    this.where.textContent = `共 ${count(found.total)} 条 · 第 ${count(found.page)} / ${count(last)} 页`;
    this.previous.disabled = found.page <= 1;
    this.next.disabled = found.page >= last;
  }

  /** Rows of an earlier search must not stand under a search that failed. */
  private fail(error: unknown): void {
    this.body.replaceChildren();
    this.where.textContent = "";
    this.previous.disabled = this.next.disabled = true;
    this.status.className = "query-status is-error";
    this.status.textContent = error instanceof ApiProblem ? words(error) : "连接不上服务 · the API does not answer";
  }

  private row(item: PassItem): HTMLElement {
    const plate = el("span", { class: `plate plate-${plateColour(item.hphm, item.hpzl)}` }, spaced(item.hphm));
    return el(
      "tr",
      {},
      el("td", { class: "mono" }, item.gcsj),
      el("td", {}, plate),
      el("td", { title: fullName(item.kkmc, this.names) }, shortName(item.kkmc, this.names)),
      el("td", {}, item.xzqhmc),
      el("td", {}, item.fxlx),
      el("td", {}, item.vehicle_type_name),
      el("td", { class: "brand", title: item.clppxh }, item.clppxh),
      el("td", {}, item.province),
      el("td", { class: "mono faint", title: item.gcxh }, item.gcxh),
    );
  }
}

function words(error: ApiProblem): string {
  switch (error.problem.type) {
    case "/problems/unknown-gate":
      return "没有这个卡口，请从列表中选择 · unknown gate";
    case "/problems/store-down":
      return "数据库暂时不可用，请稍后再试 · the database is away";
    case "/problems/query-too-slow":
      return "查询时间过长，请缩小时间或卡口范围 · too slow, narrow the search";
    case "/problems/invalid-input":
      return `条件有误：${error.message}`;
    default:
      return error.message;
  }
}

function field(zh: string, en: string, input: HTMLElement): HTMLElement {
  return el("label", { class: "field" }, el("span", { class: "field-name" }, bilingual(zh, en)), input);
}

function options(name: string, choices: readonly (readonly [string, string])[]): HTMLSelectElement {
  return el("select", { name }, ...choices.map(([value, label]) => el("option", { value }, label)));
}

// A schematic of the gates from their coordinates, and the newest contradictions drawn between them.
import type { AlertItem, Gate, NamedValue } from "../api/types.ts";
import { byCodename, roadName } from "../words/gates.ts";
import { count } from "../words/numbers.ts";
import { spaced } from "../words/plates.ts";
import { clockOf } from "../words/time.ts";
import { COLOUR, escapeHtml, FONT, tooltip, type Scale } from "./palette.ts";

export interface GateMapProps {
  readonly gates: readonly Gate[];
  readonly counts: readonly NamedValue[];
  readonly warnings: readonly AlertItem[];
  readonly selected: string | null;
  /** Width by height of the place to draw in, so that a kilometre is as long to the north as to the east. */
  readonly aspect: number;
  readonly scale: Scale;
}

type Placed = Gate & { lon: number; lat: number };

export interface Frame {
  readonly lon: readonly [number, number];
  readonly lat: readonly [number, number];
}

const MARGIN = 0.12;

export function placed(gates: readonly Gate[]): Placed[] {
  return gates.filter((gate): gate is Placed => gate.lon !== null && gate.lat !== null);
}

/** The window that holds every gate with a margin, without stretching the land. */
export function frameOf(gates: readonly Placed[], aspect: number): Frame {
  const [west, east] = extent(gates.map((gate) => gate.lon));
  const [south, north] = extent(gates.map((gate) => gate.lat));
  const shrink = Math.cos((((south + north) / 2) * Math.PI) / 180);
  let width = Math.max((east - west) * shrink, 0.05) * (1 + 2 * MARGIN);
  let height = Math.max(north - south, 0.05) * (1 + 2 * MARGIN);
  if (width / height < aspect) width = height * aspect;
  else height = width / aspect;
  const middle = [(west + east) / 2, (south + north) / 2] as const;
  const half = [width / shrink / 2, height / 2] as const;
  return { lon: [middle[0] - half[0], middle[0] + half[0]], lat: [middle[1] - half[1], middle[1] + half[1]] };
}

export function transformProps({ gates, counts, warnings, selected, aspect, scale }: GateMapProps) {
  const shown = placed(gates);
  const frame = frameOf(shown, aspect);
  const passes = new Map(counts.map((one) => [one.name, one.value]));
  const most = Math.max(1, ...counts.map((one) => one.value));
  const axis = (bounds: readonly [number, number]) => ({
    type: "value",
    min: bounds[0],
    max: bounds[1],
    axisLabel: { show: false },
    axisTick: { show: false },
    axisLine: { show: false },
    splitNumber: 8,
    splitLine: { lineStyle: { color: "rgba(96, 150, 220, 0.07)" } },
  });
  return {
    animationDurationUpdate: 400,
    grid: { left: 0, right: 0, top: 0, bottom: 0 },
    tooltip: { ...tooltip(scale), formatter: (point: { data: { tip: string } }) => point.data.tip },
    xAxis: axis(frame.lon),
    yAxis: axis(frame.lat),
    series: [
      {
        type: "scatter",
        z: 3,
        symbolSize: (point: readonly number[]) => scale.px(9 + 26 * Math.sqrt((point[2] ?? 0) / most)),
        label: {
          show: true,
          position: "right",
          color: COLOUR.text,
          fontSize: scale.px(12.5),
          fontFamily: FONT,
          formatter: (point: { data: { label: string } }) => point.data.label,
        },
        labelLayout: { hideOverlap: true, moveOverlap: "shiftY" },
        emphasis: { scale: 1.2 },
        data: shown.map((gate) => {
          const seen = passes.get(gate.kkmc) ?? 0;
          return {
            value: [gate.lon, gate.lat, seen],
            codename: gate.kkmc,
            label: roadName(gate),
            tip: `${escapeHtml(gate.name)}<br><b>${count(seen)}</b> 辆 · 24 h<br>位置为近似 approximate position`,
            itemStyle: mark(gate.kkmc === selected, seen > 0),
          };
        }),
      },
      contradictions(warnings, shown, scale),
      ends(warnings, shown, scale),
    ],
  };
}

function mark(selected: boolean, busy: boolean) {
  if (selected) return { color: "rgba(255, 181, 71, 0.75)", borderColor: COLOUR.amber, borderWidth: 2 };
  if (!busy) return { color: "rgba(111, 141, 184, 0.25)", borderColor: COLOUR.faint, borderWidth: 1, borderType: "dashed" };
  return {
    color: "rgba(57, 200, 255, 0.42)", borderColor: COLOUR.cyan, borderWidth: 1.5,
    shadowBlur: 14, shadowColor: "rgba(57, 200, 255, 0.55)",
  };
}

/** Lines from the first to the second gate, the newest the brightest. */
function contradictions(warnings: readonly AlertItem[], shown: readonly Placed[], scale: Scale) {
  const known = byCodename(shown);
  const data = warnings.flatMap((alert, age) => {
    const [from, to] = [known.get(alert.first.kkmc), known.get(alert.second.kkmc)];
    if (!from || !to) return [];
    return [
      {
        coords: [[from.lon, from.lat], [to.lon, to.lat]],
        tip: `<b>${escapeHtml(spaced(alert.hphm))}</b><br>${clockOf(alert.first.gcsj)} → ${clockOf(alert.second.gcsj)}`,
        lineStyle: { opacity: Math.max(0.12, 0.85 - age * 0.14) },
      },
    ];
  });
  return {
    type: "lines",
    coordinateSystem: "cartesian2d",
    z: 2,
    effect: { show: true, period: 3, trailLength: 0.35, symbol: "circle", symbolSize: scale.px(5), color: "#ffd0d4" },
    lineStyle: { color: COLOUR.red, width: 2, curveness: 0.18 },
    data,
  };
}

/** The two gates of the newest contradiction pulse. */
function ends(warnings: readonly AlertItem[], shown: readonly Placed[], scale: Scale) {
  const newest = warnings[0];
  const gates = newest ? shown.filter((gate) => gate.kkmc === newest.first.kkmc || gate.kkmc === newest.second.kkmc) : [];
  return {
    type: "effectScatter",
    z: 2,
    silent: true,
    symbolSize: scale.px(16),
    rippleEffect: { brushType: "stroke", scale: 3.2, period: 3 },
    itemStyle: { color: "rgba(255, 77, 94, 0.55)" },
    data: gates.map((gate) => ({ value: [gate.lon, gate.lat], tip: "" })),
  };
}

function extent(values: readonly number[]): readonly [number, number] {
  return values.length ? [Math.min(...values), Math.max(...values)] : [0, 0];
}

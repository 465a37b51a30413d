import assert from "node:assert/strict";
import { test } from "node:test";
import type { AlertItem, Gate, HourFlow } from "../src/api/types.ts";
import * as gateMap from "../src/charts/gateMap.ts";
import * as hourlyFlow from "../src/charts/hourlyFlow.ts";
import * as origins from "../src/charts/origins.ts";
import { FULL_SIZE as scale } from "../src/charts/palette.ts";
import * as topGates from "../src/charts/topGates.ts";
import * as vehicleTypes from "../src/charts/vehicleTypes.ts";
import { byCodename } from "../src/words/gates.ts";

function gate(kkmc: string, lon: number | null, lat: number | null): Gate {
  return { kkmc, name: `名 <${kkmc}>`, xzqhmc: "睢宁县", road: "G104", stake: "K873", boundary: "省际", lon, lat };
}

function alert(id: string, from: string, to: string): AlertItem {
  const side = (kkmc: string) => ({ gcxh: id, kkmc, kkmc_name: kkmc, gcsj: "2024-01-15 08:00:10", clppxh: "-" });
  return {
    alert_id: id, version: 1, verdict: "cloned_plate", confidence: 0.9, severity: "high", hphm: "苏C12345", hpzl: "02",
    first: side(from), second: side(to), gap_seconds: 60, min_travel_seconds: 600, distance_km: null, implied_kmh: null,
    evidence: [], case_id: "c", step: 1, status: "raised", rule_version: "1", model_version: null,
    detected_at: "2024-01-15T08:00:10.000+08:00",
  };
}

function hours(over: Partial<HourFlow> = {}): HourFlow[] {
  return Array.from({ length: 24 }, (_, hour) => ({
    hour, value: hour * 10, forecast: null, low: null, high: null, ...over,
  }));
}

test("Top 10 keeps the order of the API, cuts at the limit and names gates by road", () => {
  const counts = Array.from({ length: 12 }, (_, i) => ({ name: i === 0 ? "known" : `gate${i}`, value: 100 - i }));
  const option = topGates.transformProps({
    counts, gates: byCodename([gate("known", 1, 2)]), limit: 10, selected: "gate3", scale,
  });
  assert.equal(option.yAxis.data.length, 10);
  assert.equal(option.yAxis.data[0], "G104 K873 睢宁县");
  assert.equal(option.yAxis.data[1], "gate1");
  assert.equal(option.yAxis.inverse, true);
  assert.deepEqual(option.series[0]?.data.map((bar) => bar.value), counts.slice(0, 10).map((one) => one.value));
});

test("Top 10 of nothing has an axis that can still be drawn", () => {
  const option = topGates.transformProps({ counts: [], gates: new Map(), limit: 10, selected: null, scale });
  assert.equal(option.xAxis.max, 1);
  assert.deepEqual(option.series[0]?.data, []);
});

test("hours to come are unknown and not zero; the running hour is no part of the line", () => {
  const option = hourlyFlow.transformProps({ hours: hours(), running: 9, scale });
  const observed = option.series.find((series) => series.name.startsWith("过车"))?.data ?? [];
  const running = option.series.find((series) => series.name.startsWith("本小时"))?.data ?? [];
  assert.deepEqual(observed.slice(7, 12), [70, 80, null, null, null]);
  assert.equal(running[9], 90);
  assert.equal(running.filter((value) => value !== null).length, 1);
});

test("a day that is over is drawn whole", () => {
  const option = hourlyFlow.transformProps({ hours: hours(), running: null, scale });
  assert.equal(option.series.find((series) => series.name.startsWith("过车"))?.data[23], 230);
});

test("the band is stacked from the lower bound to the upper", () => {
  const option = hourlyFlow.transformProps({ hours: hours({ forecast: 50, low: 40, high: 65 }), running: 9, scale });
  const [low, band] = option.series;
  assert.equal(low?.data[5], 40);
  assert.equal(band?.data[5], 25);
  assert.deepEqual(option.legend.data.length, 4);
});

test("without a forecast no band is announced", () => {
  const option = hourlyFlow.transformProps({ hours: hours(), running: 9, scale });
  assert.equal(option.legend.data.length, 2);
  assert.ok(option.series.slice(0, 3).every((series) => series.data.every((value) => value === null)));
});

test("the tip says that there is no forecast, and gives bounds where there is one", () => {
  const without = hourlyFlow.transformProps({ hours: hours(), running: 9, scale });
  assert.match(without.tooltip.formatter([{ dataIndex: 3 }]), /no forecast/);
  const with_ = hourlyFlow.transformProps({ hours: hours({ forecast: 50, low: 40, high: 65 }), running: 9, scale });
  assert.match(with_.tooltip.formatter([{ dataIndex: 3 }]), /50.*40 – 65/s);
});

test("origins show true shares although the area is a root", () => {
  const provinces = [{ name: "江苏", value: 900 }, { name: "山东", value: 100 }];
  const option = origins.transformProps({ provinces, scale });
  const [home, other] = option.series[0]?.data ?? [];
  assert.equal(home?.value, 30);
  assert.equal(option.series[0]?.label.formatter({ name: "山东", data: other! }), "山东\n10.0%");
  assert.deepEqual(origins.homeShare(provinces), { name: "江苏", share: 0.9 });
  assert.equal(origins.homeShare([]), null);
});

test("provinces too small to be read become one and lose no pass", () => {
  const provinces = [{ name: "江苏", value: 10_000 }, { name: "甘肃", value: 3 }, { name: "云南", value: 2 }, { name: "西藏", value: 0 }];
  const shown = origins.grouped(provinces);
  assert.deepEqual(shown, [{ name: "江苏", value: 10_000 }, { name: "其他 2", value: 5 }]);
});

test("vehicle types give the total and leave out what was never seen", () => {
  const types = [{ name: "小型汽车", value: 750 }, { name: "大型汽车", value: 250 }, { name: "低速车", value: 0 }];
  const option = vehicleTypes.transformProps({ types, scale });
  assert.equal(option.title.text, "1,000");
  assert.equal(option.series[0]?.data.length, 2);
  assert.match(option.legend.formatter("大型汽车"), /25\.0%/);
});

test("the schematic stretches no land: a kilometre is as long northwards as eastwards", () => {
  const frame = gateMap.frameOf(gateMap.placed([gate("a", 117, 34), gate("b", 118, 34.5)]), 2);
  const shrink = Math.cos((34.25 * Math.PI) / 180);
  const width = (frame.lon[1] - frame.lon[0]) * shrink;
  assert.ok(Math.abs(width / (frame.lat[1] - frame.lat[0]) - 2) < 1e-9);
  assert.ok(frame.lon[0] < 117 && frame.lon[1] > 118 && frame.lat[0] < 34 && frame.lat[1] > 34.5);
});

test("a gate without position is not drawn, and a warning at it draws no line", () => {
  const option = gateMap.transformProps({
    gates: [gate("a", 117, 34), gate("b", 118, 34.5), gate("nowhere", null, null)],
    counts: [{ name: "a", value: 5 }],
    warnings: [alert("1", "a", "b"), alert("2", "a", "nowhere")],
    selected: null, aspect: 1.5, scale,
  });
  const [gates, lines, ends] = option.series;
  assert.equal(gates?.data.length, 2);
  assert.equal(lines?.data.length, 1);
  assert.equal(ends?.data.length, 2);
});

test("names from the data cannot become markup in a tip", () => {
  const option = gateMap.transformProps({
    gates: [gate("a", 117, 34)], counts: [], warnings: [], selected: null, aspect: 1, scale,
  });
  const [mark] = option.series[0]?.data ?? [];
  assert.ok(mark && !mark.tip.includes("<a>") && mark.tip.includes("&#60;a&#62;"));
});

test("no gate at all still gives a frame", () => {
  const frame = gateMap.frameOf([], 1.6);
  assert.ok(frame.lon.every(Number.isFinite) && frame.lon[0] < frame.lon[1]);
});

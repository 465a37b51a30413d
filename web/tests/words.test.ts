import assert from "node:assert/strict";
import { test } from "node:test";
import { freshness, worst } from "../src/api/freshness.ts";
import { fieldTime, pages, toQuery } from "../src/query/form.ts";
import { newestOfEachCase, whyNoEvidence } from "../src/words/cases.ts";
import { count, decimal, percent, short } from "../src/words/numbers.ts";
import { plateColour, spaced } from "../src/words/plates.ts";
import { outcomeOf, saidBefore } from "../src/words/reviews.ts";
import { clockOf, hourOf, moment, PlatformClock, spanZh } from "../src/words/time.ts";

test("an unknown number is a dash and never a zero", () => {
  assert.deepEqual([count(null), percent(null), decimal(undefined)], ["—", "—", "—"]);
  assert.deepEqual([count(0), count(1234567), percent(0.9024), short(12000), short(12500), short(950)],
    ["0", "1,234,567", "90.2%", "12k", "12.5k", "950"]);
});

test("spans are read at a glance", () => {
  assert.deepEqual([45, 210, 240, 3905, 0].map(spanZh), ["45秒", "3分30秒", "4分", "1时05分", "0秒"]);
  assert.equal(spanZh(null), "—");
});

test("times of the API keep their own zone", () => {
  assert.equal(clockOf("2024-01-15T08:03:41.120+08:00"), "08:03:41");
  assert.equal(hourOf("2024-01-15T23:59:59.120+08:00"), 23);
  assert.equal(moment("2024-01-15T08:03:41.120+08:00", "2024-01-15"), "08:03:41");
  assert.equal(moment("2024-01-14T08:03:41.120+08:00", "2024-01-15"), "01-14 08:03:41");
});

test("the clock follows the platform, whatever zone the browser is in, and does not jitter", () => {
  const now = Date.parse("2024-01-15T00:03:41.000Z");
  const clock = new PlatformClock();
  assert.equal(clock.text(now), "");
  clock.learn("2024-01-15T08:03:41.000+08:00", now);
  assert.equal(clock.text(now), "2024-01-15 08:03:41");
  clock.learn("2024-01-15T08:03:41.000+08:00", now + 2_000);
  assert.equal(clock.text(now + 2_000), "2024-01-15 08:03:43");
});

test("plates look as on the road", () => {
  assert.equal(plateColour("苏C12345", "02"), "blue");
  assert.equal(plateColour("苏C12345", "01"), "yellow");
  assert.equal(plateColour("苏CD12345", "02"), "green");
  assert.equal(plateColour("苏C12***", "52"), "green");
  assert.deepEqual([spaced("苏C12345"), spaced("6**")], ["苏C·12345", "6**"]);
});

const source = (answeredAt: number | null, failingSince: number | null = null) => ({ every: 2_000, answeredAt, failingSince });

test("old numbers are never live", () => {
  assert.equal(freshness(source(100_000), 101_000, 0), "live");
  assert.equal(freshness(source(100_000), 106_500, 0), "stale");
  assert.equal(freshness(source(100_000), 131_000, 0), "offline");
  assert.equal(freshness(source(null), 1_000, 0), "waiting");
  assert.equal(freshness(source(null), 6_000, 0), "offline");
  assert.equal(freshness(source(null, 500), 1_000, 0), "offline");
});

test("a slow source is not stale between two of its turns", () => {
  assert.equal(freshness({ every: 30_000, answeredAt: 0, failingSince: null }, 31_000, 0), "live");
  assert.equal(freshness({ every: 30_000, answeredAt: 0, failingSince: null }, 80_000, 0), "offline");
});

test("the screen is as fresh as its worst source", () => {
  assert.equal(worst(["live", "stale", "live"]), "stale");
  assert.equal(worst(["live", "offline", "stale"]), "offline");
  assert.equal(worst([]), "live");
});

test("a form becomes a query: empty is no filter, a minute includes its seconds", () => {
  assert.equal(fieldTime("2024-01-15T08:03", "00"), "2024-01-15 08:03:00");
  assert.equal(fieldTime("2024-01-15T08:03", "59"), "2024-01-15 08:03:59");
  assert.equal(fieldTime("2024-01-15T08:03:40", "59"), "2024-01-15 08:03:40");
  assert.equal(fieldTime("", "59"), null);
  const filled = { hphm: " 苏C* ", kkmc: "", start: "2024-01-15T08:03", end: "", hpzl: "02", fxlx: "" };
  assert.deepEqual(toQuery(filled, 2, 50), {
    hphm: "苏C*", kkmc: null, start: "2024-01-15 08:03:00", end: null, hpzl: "02", fxlx: null, page: 2, size: 50,
  });
});

test("an empty result still has one page", () => {
  assert.deepEqual([pages(0, 20), pages(20, 20), pages(21, 20)], [1, 1, 2]);
});

test("of each case the newest alert is shown", () => {
  const alert = (case_id: string, step: number) => ({ case_id, step });
  const told = [alert("a", 3), alert("b", 1), alert("a", 2), alert("c", 1), alert("a", 1)];
  assert.deepEqual(newestOfEachCase(told), [alert("a", 3), alert("b", 1), alert("c", 1)]);
  assert.deepEqual(newestOfEachCase([]), []);
});

test("why there is no page of evidence is said in words, whatever went wrong", () => {
  const types = ["/problems/no-evidence", "/problems/unknown-warning", "/problems/not-signed-in", "/problems/store-down", null];
  assert.deepEqual(types.map(whyNoEvidence), [
    "未存取证资料 not kept", "预警已删除 deleted", "请先登录 sign in first",
    "暂时无法取得 try again later", "暂时无法取得 try again later",
  ]);
});

test("what a person found out is said in both languages, a false alarm with its reason", () => {
  const reasons = ["misread", "clock", "same_owner", "other", null] as const;
  assert.equal(outcomeOf({ outcome: "confirmed", reason: null }), "套牌属实 confirmed");
  assert.deepEqual(reasons.map((reason) => outcomeOf({ outcome: "false", reason })), [
    "误报 false · 误识别 misread", "误报 false · 时钟故障 clock", "误报 false · 同一车主 same owner", "误报 false · 其他 other",
    "误报 false",
  ]);
});

test("a review of an older step of the case says that it is one", () => {
  assert.equal(saidBefore({ alert_id: "a" }, "a"), null);
  assert.equal(saidBefore({ alert_id: "a" }, "b"), "先前步骤 earlier step");
});

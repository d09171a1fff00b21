import { describe, expect, test } from "vitest";
import {
  isOverHard,
  isOverSoft,
  type Quota,
  quotaField,
  quotaStandings,
  readQuotaField,
} from "../../protocol/quota.ts";
import { monthEnd, monthOf, monthsBefore, NO_USAGE } from "../../protocol/usage.ts";

describe("months", () => {
  test.each([
    [Date.UTC(2026, 10, 1), "2026-11"],
    [Date.UTC(2026, 11, 1) - 1, "2026-11"],
    [Date.UTC(2026, 11, 1), "2026-12"],
    [Date.UTC(2027, 0, 1), "2027-01"],
  ])("%d lies in %s", (ms, month) => {
    expect(monthOf(ms)).toBe(month);
    expect(monthEnd(month)).toBeGreaterThan(ms);
    expect(monthOf(monthEnd(month) - 1)).toBe(month);
  });

  test.each([
    ["2026-11", 0, "2026-11"],
    ["2026-02", 3, "2025-11"],
    ["2026-12", -1, "2027-01"],
    ["2026-11", 25, "2024-10"],
  ])("%s less %d is %s", (month, count, before) => {
    expect(monthsBefore(month, count)).toBe(before);
  });
});

describe("a quota", () => {
  const used = { ...NO_USAGE, requests: 950, streamSeconds: 61, bytesUp: 40, bytesDown: 60 };
  test.each<readonly [quota: Quota, soft: string[], hard: string[], field: string]>([
    [{}, [], [], ""],
    [{ requests: { soft: 951, hard: 1_000 } }, [], [], "requests;used=950;soft=951;hard=1000"],
    [{ requests: { soft: 950 } }, ["requests"], [], "requests;used=950;soft=950"],
    [{ requests: { hard: 950 } }, [], ["requests"], "requests;used=950;hard=950"],
    [
      { streamMinutes: { hard: 3 }, bytes: { soft: 100, hard: 200 } },
      ["bytes"],
      [],
      "streamMinutes;used=2;hard=3, bytes;used=100;soft=100;hard=200",
    ],
    [{ streamMinutes: { hard: 2 } }, [], ["streamMinutes"], "streamMinutes;used=2;hard=2"],
  ])("%j", (quota, soft, hard, field) => {
    const standings = quotaStandings(quota, used);
    const names = (which: typeof isOverSoft) => standings.filter(which).map(({ measure }) => measure);
    expect(names(isOverSoft)).toEqual(soft);
    expect(names(isOverHard)).toEqual(hard);
    expect(quotaField(standings)).toBe(field);
    expect(readQuotaField(field)).toEqual(standings);
  });

  test.each(["", "requests", "requests;used=x", "other;used=1", "requests;used=1e3", ";;,,"])(
    "%j tells nothing",
    (text) => {
      expect(readQuotaField(text)).toEqual([]);
    },
  );

  test("white space, unknown parameters and unknown measures are passed over", () => {
    expect(readQuotaField("requests; used=1; new=2; soft=1, cpu;used=3")).toEqual([
      { measure: "requests", used: 1, soft: 1 },
    ]);
  });
});

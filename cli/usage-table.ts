import { isOverHard, isOverSoft, type Quota, type QuotaMeasure, quotaStandings } from "../protocol/quota.ts";
import type { ClientUsage } from "../protocol/usage.ts";

/** What one client used, as the edge tells it. */
export interface UsageRow extends ClientUsage {
  readonly quota?: Quota;
}

interface Column {
  readonly title: string;
  readonly text: (row: UsageRow) => string;
  /** What a quota limits, of what stands in this column. */
  readonly measure?: QuotaMeasure;
}

const COLUMNS: readonly Column[] = [
  { title: "CLIENT", text: ({ client }) => client },
  { title: "REQUESTS", text: ({ requests }) => whole(requests), measure: "requests" },
  { title: "REFUSALS", text: ({ refusals }) => whole(refusals) },
  { title: "STREAMS", text: ({ streams }) => whole(streams) },
  {
    title: "STREAM MIN",
    text: ({ streamSeconds }) => whole(Math.ceil(streamSeconds / 60)),
    measure: "streamMinutes",
  },
  { title: "UP", text: ({ bytesUp }) => size(bytesUp) },
  { title: "DOWN", text: ({ bytesDown }) => size(bytesDown) },
  { title: "BOTH WAYS", text: ({ bytesUp, bytesDown }) => size(bytesUp + bytesDown), measure: "bytes" },
];

/**
 * A month as a table: numbers to the right, `!` behind what is over a hard limit, `*` behind what is over a soft one, and below it
 * what these limits are.
 */
export function usageTable(month: string, rows: readonly UsageRow[]): string {
  if (rows.length === 0) return `${month}: nobody used anything\n`;
  const cells = [
    COLUMNS.map(({ title }) => `${title} `),
    ...rows.map((row) => COLUMNS.map((column) => `${column.text(row)}${markOf(row, column)}`)),
  ];
  const widths = COLUMNS.map((_, index) => Math.max(...cells.map((line) => line[index]!.length)));
  const lines = cells.map((line) =>
    line
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!)))
      .join(" ")
      .trimEnd(),
  );
  return `${month}, UTC\n${[...lines, ...rows.flatMap((row) => notes(row))].join("\n")}\n`;
}

function markOf({ quota = {}, ...used }: UsageRow, { measure }: Column): string {
  const standing = quotaStandings(quota, used).find((one) => one.measure === measure);
  if (standing === undefined) return " ";
  if (isOverHard(standing)) return "!";
  return isOverSoft(standing) ? "*" : " ";
}

/** What a client is over. */
function notes({ quota = {}, ...used }: UsageRow): string[] {
  return quotaStandings(quota, used).flatMap((standing) => {
    const { measure, soft, hard } = standing;
    const show = measure === "bytes" ? size : whole;
    if (isOverHard(standing)) {
      return [`! ${used.client}: refused until the month's end, ${measure} stop at ${show(hard!)}`];
    }
    return isOverSoft(standing)
      ? [
          `* ${used.client}: over ${show(soft!)} ${measure}${hard === undefined ? "" : `, refused from ${show(hard)} on`}`,
        ]
      : [];
  });
}

/** @example whole(12345) // "12,345" */
function whole(count: number): string {
  return count.toLocaleString("en-US");
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes in decimal units, three digits. @example size(1234567) // "1.23 MB" */
function size(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${UNITS[unit]!}`;
}

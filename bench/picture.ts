import { median, rounded } from "./stats.ts";
import type { Figure } from "./workload.ts";

const WIDTH = 760;
const LABELS = 300;
const ROW = 26;
const TOP = 34;
const VALUES = 80;

/** Figures of one unit as an SVG: a bar for each median, a line from the least to the most. Light and dark pages alike. */
export function bars(title: string, unit: string, figures: readonly Figure[]): string {
  const most = Math.max(...figures.map(({ samples }) => Math.max(...samples)));
  const scale = (value: number) => ((WIDTH - LABELS - VALUES) * value) / (most || 1);
  const height = TOP + figures.length * ROW + 8;
  const rows = figures.map(({ what, samples }, index) => {
    const y = TOP + index * ROW;
    const [from, to] = [LABELS + scale(Math.min(...samples)), LABELS + scale(Math.max(...samples))];
    const isOurs = /holdfast/i.test(what);
    return [
      `<text x="${LABELS - 8}" y="${y + 15}" text-anchor="end">${escaped(what)}</text>`,
      `<rect x="${LABELS}" y="${y + 3}" width="${scale(median(samples)).toFixed(1)}" height="${ROW - 8}" fill="${isOurs ? "#2f7d6b" : "#9aa5b1"}"/>`,
      `<path d="M${from.toFixed(1)} ${y + 12}H${to.toFixed(1)}" stroke="#c2410c" stroke-width="1.5"/>`,
      `<text x="${(to + 6).toFixed(1)}" y="${y + 16}">${rounded(median(samples))}</text>`,
    ].join("\n");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>text{font:13px system-ui,sans-serif;fill:#334155}@media(prefers-color-scheme:dark){text{fill:#cbd5e1}}</style>
<text x="8" y="20" font-weight="600">${escaped(title)}, ${escaped(unit)}</text>
${rows.join("\n")}
</svg>
`;
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

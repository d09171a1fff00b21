import type { UsageCounts } from "./usage.ts";

/** What a month's use is measured by. */
export type QuotaMeasure = "requests" | "streamMinutes" | "bytes";

export const QUOTA_MEASURES: readonly QuotaMeasure[] = ["requests", "streamMinutes", "bytes"];

/** Of one measure: what is told beyond `soft`, and refused from `hard` on. */
export interface QuotaLimit {
  readonly soft?: number | undefined;
  readonly hard?: number | undefined;
}

/** What a client may use in a calendar month, UTC. What is left out is not limited. */
export type Quota = { readonly [measure in QuotaMeasure]?: QuotaLimit | undefined };

/** How one measure stands. */
export interface QuotaStanding extends QuotaLimit {
  readonly measure: QuotaMeasure;
  readonly used: number;
}

/** How much was used by each measure: bytes both ways together, minutes that have begun. */
const USED: { readonly [measure in QuotaMeasure]: (counts: UsageCounts) => number } = {
  requests: ({ requests }) => requests,
  streamMinutes: ({ streamSeconds }) => Math.ceil(streamSeconds / 60),
  bytes: ({ bytesUp, bytesDown }) => bytesUp + bytesDown,
};

/** How a month stands by each measure that the quota limits. */
export function quotaStandings(quota: Quota, counts: UsageCounts): readonly QuotaStanding[] {
  return QUOTA_MEASURES.flatMap((measure) => {
    const limit = quota[measure];
    return limit === undefined ? [] : [{ measure, used: USED[measure](counts), ...limit }];
  });
}

/** Whether nothing more may be used. */
export function isOverHard({ used, hard }: QuotaStanding): boolean {
  return hard !== undefined && used >= hard;
}

/** Whether it is to be told of. */
export function isOverSoft({ used, soft }: QuotaStanding): boolean {
  return soft !== undefined && used >= soft;
}

/**
 * `Relay-Quota`: a list of structured fields (RFC 9651).
 * @example quotaField([{ measure: "requests", used: 950, soft: 900, hard: 1000 }]) // "requests;used=950;soft=900;hard=1000"
 */
export function quotaField(standings: readonly QuotaStanding[]): string {
  return standings
    .map(({ measure, used, soft, hard }) =>
      [
        measure,
        `used=${used}`,
        ...(soft === undefined ? [] : [`soft=${soft}`]),
        ...(hard === undefined ? [] : [`hard=${hard}`]),
      ].join(";"),
    )
    .join(", ");
}

/** Reads `Relay-Quota`. What can't be read is left out: it never fails a response. */
export function readQuotaField(text: string): readonly QuotaStanding[] {
  return text.split(",").flatMap((member) => {
    const [name, ...parameters] = member.split(";").map((part) => part.trim());
    const measure = QUOTA_MEASURES.find((one) => one === name);
    const numbers = new Map(
      parameters.flatMap((parameter) => {
        const [, key, digits] = /^([a-z]+)=(\d{1,15})$/.exec(parameter) ?? [];
        return key === undefined ? [] : [[key, Number(digits)] as const];
      }),
    );
    const used = numbers.get("used");
    if (measure === undefined || used === undefined) return [];
    const [soft, hard] = [numbers.get("soft"), numbers.get("hard")];
    return [{ measure, used, ...(soft !== undefined && { soft }), ...(hard !== undefined && { hard }) }];
  });
}

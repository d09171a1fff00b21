const UNIT_SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/**
 * Seconds of a duration as it is typed; undefined for what is none.
 * @example durationSeconds("90d") // 7776000
 */
export function durationSeconds(text: string): number | undefined {
  const match = /^([1-9]\d{0,8})([smhd])$/.exec(text);
  return match === null ? undefined : Number(match[1]) * UNIT_SECONDS[match[2] as keyof typeof UNIT_SECONDS];
}

/**
 * The seconds before each attempt, each as a number or with a unit; undefined for what is none.
 * @example scheduleSeconds("0,5,5m,2h") // [0, 5, 300, 7200]
 */
export function scheduleSeconds(text: string): number[] | undefined {
  const schedule = text.split(",").map((part) => {
    const seconds = /^(\d{1,9}(?:\.\d{1,3})?)s?$/.exec(part.trim())?.[1];
    return seconds === undefined ? durationSeconds(part.trim()) : Number(seconds);
  });
  return schedule.includes(undefined) ? undefined : (schedule as number[]);
}

import type {
  DeliveryAnswer,
  DeliveryAttempt,
  DeliveryCounts,
  DeliveryDetail,
  DeliveryRow,
  Pause,
} from "../../protocol/deliveries.ts";
import { printable } from "../printable.ts";
import { moment, table } from "../table.ts";
import type { OwnerCounts } from "./calls.ts";

/** Deliveries as people read them. What strangers wrote in them is made printable. */

/** One delivery a line. */
export function listText(rows: readonly DeliveryRow[]): string {
  return table([
    ["ID", "ACCEPTED", "STATE", "SPENT", "NEXT OR END", "BYTES", "LANE", "KNOWN BY", "REASON"],
    ...rows.map(({ id, accepted, state, spent, due, ended, size, lane, dedupe, reason }) => [
      id,
      momentText(accepted),
      state,
      String(spent),
      momentText(due ?? ended),
      String(size),
      told(lane),
      told(dedupe),
      told(reason),
    ]),
  ]);
}

/** One delivery, with its attempts and its target's last answer. */
export function showText(detail: DeliveryDetail): string {
  const { id, owner, kind, state, client, method, origin, lane, dedupe, size, accepted, spent } = detail;
  const { due, ended, reason, attempts, answer } = detail;
  const members = table([
    ["delivery", id],
    ["of", owner],
    ["kind", kind],
    ["client", client],
    ["request", `${method} ${origin === null ? "to its route's target" : printable(origin)}, ${size} bytes`],
    ["known by", told(dedupe)],
    ["lane", told(lane)],
    ["accepted", momentText(accepted)],
    ["state", state],
    ["spent", `${spent} of its attempts`],
    ...(due === null ? [] : [["next", momentText(due)]]),
    ...(ended === null ? [] : [["ended", momentText(ended)]]),
    ...(reason === null ? [] : [["reason", printable(reason)]]),
  ]);
  return [members, attemptsText(attempts), answer === null ? "" : answerText(answer)]
    .filter((part) => part !== "")
    .join("\n");
}

function attemptsText(attempts: readonly DeliveryAttempt[]): string {
  if (attempts.length === 0) return "";
  return table([
    ["ATTEMPT", "BEGAN", "TOOK", "RESULT", "STATUS", "NODE", "LEFT FROM", "DETAIL"],
    ...attempts.map(({ n, started, ended, result, status, code, detail, node, egress }) => [
      String(n),
      momentText(started),
      ended === null ? "-" : `${ended - started} ms`,
      result ?? "under way",
      status === null ? "-" : String(status),
      told(node),
      told(egress),
      [code, detail].flatMap((part) => (part === null ? [] : [printable(part)])).join(": "),
    ]),
  ]);
}

/** A target's answer: as text, or in hex where it is none. */
export function answerText({ status, body, isCut }: DeliveryAnswer): string {
  const bytes = Buffer.from(body, "base64");
  const size = `${isCut ? "the first " : ""}${bytes.length} bytes`;
  const text = textIn(bytes);
  const lines = text === undefined ? hexLines(bytes) : text.split(/\r?\n/).map((line) => printable(line));
  return `The last answer was ${status}, with ${size}${text === undefined ? ", in hex" : ""}:\n\n${lines.join("\n")}\n`;
}

/** Undefined for what is no text. Its last character may be cut. */
function textIn(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
}

const HEX_BYTES = 32;

function hexLines(bytes: Buffer): string[] {
  return Array.from({ length: Math.ceil(bytes.length / HEX_BYTES) }, (_, line) =>
    bytes.toString("hex", line * HEX_BYTES, (line + 1) * HEX_BYTES),
  );
}

/** How an owner's deliveries stand. */
export function countsText({ owner, isThere, pause, ...counts }: OwnerCounts): string {
  return table([
    ["of", isThere ? owner : `${owner}, which is not registered`],
    ["paused", pause === null ? "-" : pauseText(pause)],
    ...countsLines(counts),
  ]);
}

/** accepted = delivered + pending + dead + purged. */
export function countsLines({ accepted, delivered, pending, dead, purged }: DeliveryCounts): string[][] {
  return Object.entries({ accepted, delivered, pending, dead, purged }).map(([name, n]) => [name, String(n)]);
}

/** @example pauseText(pause) // "since 2026-11-28T12:00:00Z by operator: moving house" */
export function pauseText({ at, by, reason }: Pause): string {
  return `since ${momentText(at)}${by === null ? "" : ` by ${printable(by)}`}: ${printable(reason)}`;
}

function told(text: string | null): string {
  return text === null ? "-" : printable(text);
}

/** @param ms milliseconds since 1970 */
function momentText(ms: number | null): string {
  return ms === null ? "-" : moment(Math.floor(ms / 1_000));
}

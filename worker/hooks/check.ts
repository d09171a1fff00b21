import { RelayError } from "../../protocol/errors.ts";
import { HOOK_SIGNATURES_MAX, HOOK_TOLERANCE_SECONDS } from "../limits.ts";
import type { MacHash } from "../mac.ts";

/** A call as far as its head tells. */
export interface CallHead {
  readonly headers: Pick<Headers, "get">;
  /** As the provider called it: the edge's own origin, with path and query. */
  readonly url: string;
}

/** One HMAC to be computed. */
export interface MacPlan {
  readonly hash: MacHash;
  readonly key: Uint8Array<ArrayBuffer>;
  /** What stands before the body in what was signed. */
  readonly before: Uint8Array<ArrayBuffer>;
}

/** What proves a call: one of the HMACs has to be one of the signatures. */
export interface Check {
  readonly macs: readonly MacPlan[];
  /**
   * What follows in what was signed: the body as it is; its form's parameters, sorted, as Twilio has it, for which the body is held
   * whole; or nothing, where the body is bound by `digest`.
   */
  readonly over: "body" | "parameters" | "nothing";
  /** As they came, decoded. */
  readonly signatures: readonly Uint8Array[];
  /** RFC 9530 member that the body must have, where what was signed says so. */
  readonly digest?: string;
}

/**
 * Reads what a call's head says of its signature, before a byte of its body; null where none is asked for.
 * @param nowMs milliseconds since 1970
 * @throws RelayError `hook_signature` where there is none to check, or its time is over
 */
export type Verifier = (head: CallHead, nowMs: number) => Check | null;

/** @param why what is wrong, to stand behind "the call" */
export function unsigned(why: string): RelayError {
  return new RelayError("hook_signature", `the call ${why}`);
}

/** A field that a signature can't be without. */
export function needed({ headers }: CallHead, name: string): string {
  const value = headers.get(name);
  if (value === null || value === "") throw unsigned(`has no ${name}`);
  return value;
}

/** Refuses what was signed at another time than about now. */
export function expectRecent(seconds: string, nowMs: number): void {
  if (!/^\d{1,12}$/.test(seconds)) throw unsigned("has a timestamp that is no whole number of seconds");
  const away = Math.abs(Number(seconds) - nowMs / 1_000);
  if (away > HOOK_TOLERANCE_SECONDS) {
    throw unsigned(`was signed ${Math.round(away)} s from now, and ${HOOK_TOLERANCE_SECONDS} are taken`);
  }
}

/** The signatures among some texts, of which there must be one at least. */
export function signaturesIn(
  texts: readonly string[],
  encoding: keyof typeof DECODERS,
): readonly Uint8Array[] {
  if (texts.length > HOOK_SIGNATURES_MAX) {
    throw unsigned(`has ${texts.length} signatures, of which ${HOOK_SIGNATURES_MAX} may be`);
  }
  const signatures = texts.map((text) => DECODERS[encoding](text)).filter((one) => one !== undefined);
  if (signatures.length === 0) throw unsigned(`has no signature of the kind that its route takes`);
  return signatures;
}

const DECODERS = { hex: fromHex, base64: fromBase64 };

export function fromHex(text: string): Uint8Array | undefined {
  if (!/^(?:[0-9a-f]{2})+$/i.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g)!, (digits) => Number.parseInt(digits, 16));
}

/** In its one form alone, padded and without bits left over. */
function fromBase64(text: string): Uint8Array | undefined {
  try {
    const characters = atob(text);
    if (text === "" || btoa(characters) !== text) return undefined;
    return Uint8Array.from(characters, (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(text));
}

import { RelayError } from "../protocol/errors.ts";
import { canonicalAddress, type ReceiptClaims, verifyReceipt } from "../protocol/receipts.ts";
import type { NodeKeys } from "./node-keys.ts";

/** One answered call, as far as its receipt has to agree with it. */
export interface Answered {
  /** The receipt itself, where the answer has one. */
  readonly receipt: string | null;
  /** The node that the answer names. */
  readonly node: string | undefined;
  readonly requestId: string;
  readonly method: string;
  readonly url: string;
  readonly status: number;
}

/** Where the receipts' signers are known from, and what else a receipt has to say. */
export interface ReceiptRules {
  readonly edge: string;
  readonly clientId: string;
  readonly keys: NodeKeys;
  /** The addresses that calls may leave from, in canonical form; undefined for any. */
  readonly egress: ReadonlySet<string> | undefined;
}

/**
 * Proves the receipt of an answer.
 * @throws RelayError `receipt_invalid`, `egress_not_listed`
 */
export async function checkReceipt(answered: Answered, rules: ReceiptRules): Promise<ReceiptClaims> {
  const { receipt, node = "", requestId, method, url, status } = answered;
  const { edge, clientId, keys, egress } = rules;
  const call = { node, edge, clientId, jti: requestId, method, target: new URL(url).host, status };
  const told = { requestId, ...(node !== "" && { node }) };
  const prove = async ({ known }: NodeKeys) => {
    try {
      return await verifyReceipt(receipt, { ...call, keys: known.get(node) ?? [] });
    } catch (error) {
      if (!(error instanceof RelayError)) throw error;
      throw new RelayError(error.code, error.detail, told);
    }
  };
  const { known } = keys;
  const claims = await prove(keys).catch(async (error: unknown) => {
    // The node, or its key, may be newer than the list.
    if (receipt === null || !(await keys.renew(known))) throw error;
    return prove(keys);
  });
  const address = canonicalAddress(claims.egress);
  if (egress !== undefined && (address === undefined || !egress.has(address))) {
    throw new RelayError("egress_not_listed", `the request left from ${claims.egress.slice(0, 64)}`, told);
  }
  return claims;
}

/**
 * The addresses that calls may leave from.
 * @throws RelayError `request_invalid` where one is no IP address, or there is none
 */
export function parseEgress(addresses: readonly string[]): ReadonlySet<string> {
  if (addresses.length === 0) throw new RelayError("request_invalid", "egress names no address");
  return new Set(
    addresses.map((text) => {
      const address = canonicalAddress(text);
      if (address !== undefined) return address;
      throw new RelayError("request_invalid", `egress: ${JSON.stringify(text)} is no IP address`);
    }),
  );
}

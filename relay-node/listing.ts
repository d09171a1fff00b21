import { type EgressList, isEgressList } from "../protocol/egress-list.ts";
import { isSameIp, parseIp } from "./ip-address.ts";
import type { Family } from "./proof.ts";

/**
 * The list in an answer of `/.well-known/egress.json`; undefined where it holds none, or another edge's.
 * @param edge the edge's origin
 */
export function listIn(text: string, edge: string): EgressList | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isEgressList(value) && value.issuer === edge ? value : undefined;
}

/**
 * Whether a list has an address as one of a node's that is in use now. What is planned for a later day is not.
 *
 * Which day it is the edge tells, by what it lists: a node whose clock is off must not differ from what others read.
 *
 * @example isListed(list, "node-1", "203.0.113.10")
 */
export function isListed({ addresses }: EgressList, node: string, address: string): boolean {
  return addresses.some((entry) => isOf(entry, node, address));
}

/**
 * Why a missing address is not in service, in one line for an operator.
 * @example // "ipv4: 203.0.113.10 is not in the list that the edge publishes for node-1"
 */
export function unlistedReason(
  family: Family,
  address: string,
  node: string,
  { planned }: EgressList,
): string {
  const plan = planned.find((entry) => entry.change === "add" && isOf(entry, node, address));
  const why = plan === undefined ? "" : ` (planned from ${plan.date})`;
  return `${family}: ${address} is not in the list that the edge publishes for ${node}${why}`;
}

function isOf(entry: { readonly node: string; readonly address: string }, node: string, address: string) {
  if (entry.node !== node) return false;
  // Every call asks several times, and most lists have it as the configuration does.
  if (entry.address === address) return true;
  const listed = parseIp(entry.address);
  return listed !== undefined && isSameIp(listed, parseIp(address)!);
}

import type { NodeConfig } from "./config.ts";
import type { GetText, Way } from "./get-text.ts";
import { isSameIp, parseIp } from "./ip-address.ts";
import { WITNESS_ANSWER_MAX_BYTES } from "./limits.ts";
import type { Report } from "./proof.ts";

/** Somebody who tells from which address they see this node. */
export interface Witness {
  /** `edge`, a peer's id, or the host of a configured one: its path may hold a secret. */
  readonly name: string;
  /** Answers GET with `{"address": "…"}`. */
  readonly url: URL;
}

/** Whom a node may ask: the edge, its peers on other hosts, and those that are configured besides. */
export function witnessesOf({ edge, peers, witnesses, egress }: NodeConfig): readonly Witness[] {
  const own = [egress.ipv4, egress.ipv6].flatMap((pair) => pair?.public ?? []).map((text) => parseIp(text)!);
  // A peer on the same host sees what never left it.
  const isHere = (address: string) => own.some((one) => isSameIp(one, parseIp(address)!));
  return [
    { name: "edge", url: new URL("/whoami", edge) },
    ...peers
      .filter(({ addresses }) => !addresses.some((address) => isHere(address)))
      .map(({ id, url }) => ({ name: id, url: new URL("/whoami", url) })),
    ...witnesses.map((text) => ({ name: new URL(text).host, url: new URL(text) })),
  ];
}

/** Asks one witness by one family; never rejects. */
export type AskWitness = (witness: Witness, from: Way) => Promise<Report>;

/** Asks over one of the node's own ways out. */
export function createAskWitness(getText: GetText): AskWitness {
  return async ({ name, url }, from) => {
    const got = await getText(url, from, WITNESS_ANSWER_MAX_BYTES);
    if ("silent" in got) return { witness: name, silent: got.silent };
    const saw = addressIn(got.text);
    return saw === undefined ? { witness: name, silent: "answered no address" } : { witness: name, saw };
  };
}

function addressIn(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { address } = (value ?? {}) as { readonly address?: unknown };
  if (typeof address !== "string") return undefined;
  // An IPv4 caller of a listener for both families shows as a mapped address.
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
  return parseIp(plain) === undefined ? undefined : plain;
}

import { abortable } from "../protocol/abort.ts";
import { RelayError } from "../protocol/errors.ts";
import { WIRE } from "../protocol/headers.ts";
import { parseSeedListUrl, type SeedList } from "../protocol/seed-list.ts";
import { parseTunnelUrl, tunnelUrl } from "../protocol/targets.ts";
import { newRequestId } from "../protocol/tokens.ts";
import { REQUEST_TOKEN_SECONDS, RESOLVE_MAX_BYTES, SEEDS_MAX } from "./limits.ts";
import { askEdge } from "./edge-call.ts";
import type { IdentityOptions } from "./platforms/options.ts";
import { attempted, type ClientSigner, createSigner, type SignRequest } from "./signer.ts";
import type { Fetch } from "./wire.ts";

/** How a service is asked for. */
export interface ResolveOptions extends IdentityOptions {
  /** In place of the global one. */
  readonly fetch?: Fetch | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds since 1970. */
  readonly now?: (() => number) | undefined;
}

/**
 * Asks the relay what hosts a `mongodb+srv://` name stands for: the relay's resolver and not this machine's, and only hosts
 * inside the name's own domain, which this client may reach.
 *
 * @param relayUrl as HOLDFAST_URL holds it
 * @throws RelayError as the edge answered; `edge_unreachable`, `edge_failed`, `answer_invalid`; or the signal's reason
 * @example const { seeds } = await resolveService(process.env.HOLDFAST_URL, "cluster0.abc.mongodb.net");
 */
export async function resolveService(
  relayUrl: string | undefined,
  name: string,
  options: ResolveOptions = {},
): Promise<SeedList> {
  const signer = createSigner(relayUrl, options);
  const { host, parent } = parseSeedListUrl(`mongodb+srv://${name}`);
  const text = await attempted(signer, (sign) => ask({ signer, sign, host }, options));
  return checkSeedList(text, parent);
}

interface Question {
  readonly signer: Pick<ClientSigner, "edge" | "clientId">;
  readonly sign: SignRequest;
  readonly host: string;
}

async function ask(
  { signer: { edge, clientId }, sign, host }: Question,
  { fetch = globalThis.fetch, signal, now = Date.now }: ResolveOptions,
): Promise<string> {
  const iat = Math.floor(now() / 1_000);
  const signing = sign({
    iss: clientId,
    aud: edge,
    act: "resolve",
    iat,
    exp: iat + REQUEST_TOKEN_SECONDS,
    jti: newRequestId(),
    htm: "POST",
    url: `mongodb+srv://${host}`,
    framing: "none",
  });
  const token = await abortable(signing, signal);
  const init = {
    method: "POST",
    headers: { [WIRE.authorization]: `Bearer ${token}` },
    ...(signal !== undefined && { signal }),
  };
  const failure = () => (signal?.aborted === true ? (signal.reason as unknown) : undefined);
  const call = { edge, path: "/resolve", init, maxBytes: RESOLVE_MAX_BYTES, failure } as const;
  return askEdge({ ...call, reached: "no" }, fetch);
}

/**
 * Reads the answer. Each host has to lie in the domain that the name lies in (MongoDB's Initial DNS Seedlist Discovery), which
 * the edge has seen to already: what decides where connections go is looked at twice.
 *
 * @throws RelayError `answer_invalid`
 */
export function checkSeedList(text: string, parent: string): SeedList {
  const invalid = (why: string, cause?: unknown) =>
    new RelayError("answer_invalid", `the edge's answer for a host of ${parent} ${why}`, { cause });
  let answer: { readonly seeds?: unknown; readonly options?: unknown };
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch (cause) {
    throw invalid("is no JSON", cause);
  }
  const { seeds, options } = answer ?? {};
  if (!Array.isArray(seeds) || seeds.length === 0 || seeds.length > SEEDS_MAX) {
    throw invalid(`names no hosts, or more than ${SEEDS_MAX}`);
  }
  if (typeof options !== "string" || !/^[\x21-\x7e]*$/.test(options)) throw invalid("has no valid options");
  return {
    seeds: (seeds as unknown[]).map((seed) => {
      const { host, port } = (seed ?? {}) as { host?: unknown; port?: unknown };
      if (typeof host !== "string" || typeof port !== "number") {
        throw invalid("has a seed without host or port");
      }
      let target;
      try {
        target = parseTunnelUrl(tunnelUrl(host, port));
      } catch (cause) {
        throw invalid("has a host that is no DNS name", cause);
      }
      if (!target.host.endsWith(`.${parent}`)) {
        throw invalid(`leads to ${target.host}, outside of ${parent}`);
      }
      return { host: target.host, port: target.port };
    }),
    options,
  };
}

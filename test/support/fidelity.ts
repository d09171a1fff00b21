import { createRelay, isRelayError, type Relay, type RelayError } from "../../client/index.ts";
import { enveloped, raw } from "./raw-caller.ts";
import { RawOrigin } from "./raw-origin.ts";
import { freePort, testStack } from "./stack.ts";

/** The two forms in which a request may be sent to the edge. */
export const FORMS = [
  { form: "enveloped", wire: enveloped },
  { form: "raw", wire: raw },
] as const;

export const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/** The relay's own failure that a promise must end with. */
export async function failureOf(promise: Promise<unknown>): Promise<RelayError> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!isRelayError(error)) throw new Error("it ended with no failure of the relay's", { cause: error });
  return error;
}

/** A whole path to look through: a stack with one node, and an origin at its end over TLS and one over plain http. */
export interface Bench {
  readonly stack: Awaited<ReturnType<typeof testStack>>;
  readonly edge: string;
  readonly relayUrl: string;
  /** Takes bodies as they are: nothing decompressed. */
  readonly relay: Relay;
  readonly tls: RawOrigin;
  readonly plain: RawOrigin;
  stop(): Promise<void>;
}

/** @param allow further targets of the client's */
export async function startBench(allow: readonly string[] = []): Promise<Bench> {
  const [tlsPort, plainPort, nodePort] = [await freePort(), await freePort(), await freePort()];
  const stack = await testStack({
    allow: [`https://localhost:${tlsPort}`, `http://localhost:${plainPort}`, ...allow],
    nodes: [{ id: "node-1", port: nodePort, egress: "127.0.0.2" }],
  });
  const tls = await RawOrigin.start(tlsPort, stack.keys);
  const plain = await RawOrigin.start(plainPort);
  return {
    stack,
    edge: stack.edge,
    relayUrl: stack.relayUrl,
    relay: createRelay(stack.relayUrl, { decompress: false }),
    tls,
    plain,
    stop: async () => {
      await Promise.all([stack.stop(), tls.close(), plain.close()]);
    },
  };
}

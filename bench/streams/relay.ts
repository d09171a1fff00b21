import { writeFileSync } from "node:fs";
import { GrantsDesk } from "../../client/node/grants.ts";
import { createSigner } from "../../client/signer.ts";
import { streamClaims } from "../../client/stream-connection.ts";
import { type Stack, startStack } from "../../dev/stack.ts";
import { WIRE } from "../../protocol/headers.ts";
import { STREAM_PROTOCOL } from "../../protocol/stream-messages.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { addClient } from "../../test/support/operator-calls.ts";
import { freePort } from "../../test/support/stack.ts";
import { workerModule } from "../made-once.ts";
import { packed } from "../native.ts";
import { cpuMs, residentMb } from "../machine.ts";
import { CORES, pin } from "../processes.ts";
import { NO_LIMIT } from "./limits.ts";

/** How the bytes of a stream are carried. */
export type Mode = "v1" | "raw";

/** A listener that WebSockets are opened at. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

const CLIENT = "bench";
const NODE = "node-1";

/** The relay that streams are measured through: workerd and one node, both on the core of what is measured. */
export class StreamsRelay {
  readonly stack: Stack;
  readonly edge: Place;
  readonly node: Place;
  /** `HOLDFAST_URL` of a client that may reach what it was started for. */
  readonly relayUrl: string;
  readonly #grants = new GrantsDesk();

  private constructor(stack: Stack, edge: Place, node: Place, relayUrl: string) {
    this.stack = stack;
    this.edge = edge;
    this.node = node;
    this.relayUrl = relayUrl;
  }

  /**
   * @param targets what the client may reach
   * @param core the cores that workerd and the node may use
   */
  static async start(
    dir: string,
    targets: readonly string[],
    core: number | readonly number[] = CORES.measured,
  ): Promise<StreamsRelay> {
    const [edgePort, targetPort, port] = [await freePort(), await freePort(), await freePort()];
    const stack = await startStack({
      dir,
      edgePort,
      targetPort,
      nodes: [{ id: NODE, port, egress: "127.0.0.2" }],
      workerModule: await workerModule(),
      nodeConfig: { drainSeconds: 0 },
    });
    const { relayUrl } = await addClient(stack.operator, CLIENT, {
      allow: targets,
      limits: {
        requestsPerSecond: NO_LIMIT,
        concurrent: NO_LIMIT,
        bytesPerSecond: 1_000 * NO_LIMIT,
        streams: NO_LIMIT,
      },
    });
    for (const id of ["edge", NODE]) pin(stack.process(id).pid!, core);
    const edge = { host: "127.0.0.1", port: edgePort, isTls: false };
    return new StreamsRelay(stack, edge, { host: "127.0.0.1", port, isTls: true }, relayUrl);
  }

  stop(): Promise<void> {
    return this.stack.stop();
  }

  /** What each has computed, in milliseconds. */
  cpu(): { readonly edge: number; readonly node: number } {
    return { edge: cpuMs(this.#pid("edge")), node: cpuMs(this.#pid(NODE)) };
  }

  /** What each holds, in MB. */
  memory(): { readonly edge: number; readonly node: number } {
    return { edge: residentMb(this.#pid("edge")), node: residentMb(this.#pid(NODE)) };
  }

  freeze(): void {
    for (const id of ["edge", NODE]) process.kill(this.#pid(id), "SIGSTOP");
  }

  thaw(): void {
    for (const id of ["edge", NODE]) process.kill(this.#pid(id), "SIGCONT");
  }

  /**
   * Writes a file of requests that open streams, as the driver reads it.
   * @param way by the edge, or straight to the node, under grants that the edge is asked for
   */
  async requests(
    file: string,
    count: number,
    target: string,
    mode: Mode,
    way: "edge" | "direct",
  ): Promise<void> {
    const signer = createSigner(this.relayUrl);
    const requests: string[] = [];
    for (let i = 0; i < count; i++) {
      const stamp = { id: newRequestId(), seconds: Math.floor(Date.now() / 1_000) };
      const claims = streamClaims({ url: target, node: undefined, resume: undefined }, signer, stamp);
      const token = await signer.sign(claims);
      const bearer =
        way === "edge" ? token : (await this.#grants.ask(this.stack.edge, token).grants)[0]!.grant;
      requests.push(upgrade(way === "edge" ? this.edge : this.node, "/stream", bearer, mode));
    }
    writeFileSync(file, packed(requests));
  }

  #pid(id: string): number {
    return this.stack.process(id).pid!;
  }
}

/** The head of a request for a WebSocket. */
export function upgrade({ host, port }: Place, path: string, bearer?: string, mode: Mode = "raw"): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ...(bearer === undefined ? [] : [`${WIRE.authorization}: Bearer ${bearer}`]),
    ...(mode === "v1" ? [`Sec-WebSocket-Protocol: ${STREAM_PROTOCOL}`] : []),
    "\r\n",
  ].join("\r\n");
}

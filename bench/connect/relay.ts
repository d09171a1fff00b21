import { adminCall } from "../../client/admin.ts";
import { createScopeToken } from "../../client/scope.ts";
import { type Stack, startStack } from "../../dev/stack.ts";
import { freePort } from "../../test/support/stack.ts";
import { workerModule } from "../made-once.ts";
import { CORES, pin } from "../processes.ts";

/** The name that the development stack gives its client. */
const CLIENT = "dev";
const EGRESS = "127.0.0.2";
const TOKEN_SECONDS = 3_600;
const NO_LIMIT = 1_000_000;

/** Where a proxy door listens. */
export interface DoorPorts {
  readonly http: number;
  readonly socks5: number;
}

/**
 * The relay that is measured: the edge in workerd beside the driver, one node on a core of its own, and two more that share
 * their ports and address, on both cores.
 */
export class TunnelRelay {
  readonly alone: DoorPorts;
  readonly shared: DoorPorts;
  readonly #stack: Stack;
  readonly #target: string;

  private constructor(stack: Stack, target: string, alone: DoorPorts, shared: DoorPorts) {
    this.#stack = stack;
    this.#target = target;
    this.alone = alone;
    this.shared = shared;
  }

  /**
   * @param target `tcp://host:port`
   * @param nodeFlags for the nodes' runtime, as `--cpu-prof` for whoever looks where the time goes
   */
  static async start(dir: string, target: string, nodeFlags: readonly string[] = []): Promise<TunnelRelay> {
    const door = async () => ({ http: await freePort(), socks5: await freePort() });
    const [alone, shared] = [await door(), await door()];
    const node = async (id: string, proxy: DoorPorts & { readonly reusePort?: boolean }) => ({
      id,
      port: await freePort(),
      egress: EGRESS,
      proxy,
    });
    const both = { ...shared, reusePort: true };
    const stack = await startStack({
      dir,
      edgePort: await freePort(),
      targetPort: await freePort(),
      nodes: [await node("node-1", alone), await node("node-2", both), await node("node-3", both)],
      allow: [target],
      workerModule: await workerModule(),
      nodeConfig: { drainSeconds: 0 },
      nodeFlags,
    });
    await unlimited(stack, target);
    const relay = new TunnelRelay(stack, target, alone, shared);
    pin(stack.process("edge").pid!, CORES.driver);
    for (const pid of relay.aloneIds) pin(pid, CORES.measured);
    for (const pid of relay.sharedIds) pin(pid, [CORES.measured, CORES.driver]);
    return relay;
  }

  get aloneIds(): readonly number[] {
    return [this.#stack.process("node-1").pid!];
  }

  get sharedIds(): readonly number[] {
    return ["node-2", "node-3"].map((id) => this.#stack.process(id).pid!);
  }

  /** A login by a token of its own, which no node has been asked about. */
  async login(): Promise<string> {
    const options = { act: "proxy", allow: [this.#target], ttlSeconds: TOKEN_SECONDS } as const;
    return `${CLIENT}:${await createScopeToken(this.#stack.relayUrl, options)}`;
  }

  /** User and handle: what fits into SOCKS. */
  async handle(): Promise<readonly [string, string]> {
    const token = (await this.login()).slice(CLIENT.length + 1);
    const { value } = await adminCall(this.#stack.operator, "POST", "/admin/handles", { body: { token } });
    return [CLIENT, (value as { readonly handle: string }).handle];
  }

  stop(): Promise<void> {
    return this.#stack.stop();
  }
}

/** The client's limits are above all that is measured, and its pool is all nodes. */
async function unlimited({ operator, keys, nodes }: Stack, target: string): Promise<void> {
  const path = `/admin/clients/${CLIENT}`;
  const { version } = await adminCall(operator, "GET", path);
  const body = {
    id: CLIENT,
    keys: [keys.client.publicJwk],
    allow: [target],
    pool: nodes.map(({ id }) => id),
    limits: { requestsPerSecond: NO_LIMIT, concurrent: NO_LIMIT, streams: NO_LIMIT },
  };
  await adminCall(operator, "PUT", path, { body, ifMatch: version });
}

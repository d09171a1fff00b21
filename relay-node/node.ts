import type { Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { SecureContext } from "node:tls";
import type { Logger } from "pino";
import { RelayError } from "../protocol/errors.ts";
import type { GrantVerifier } from "../protocol/grants.ts";
import { AddressProof } from "./address-proof.ts";
import { ClientLimits } from "./client-limits.ts";
import type { NodeConfig } from "./config.ts";
import { type CapSizes, ConnectionCaps } from "./connection-caps.ts";
import { Connections } from "./connections.ts";
import type { NodeContext } from "./context.ts";
import { ConsumedIds } from "./consumed.ts";
import type { Dialer } from "./dialer.ts";
import { EdgeClient } from "./edge-client.ts";
import { DRAIN_ANSWER_MS, DRAIN_LINGER_MS, LISTENER } from "./limits.ts";
import { grantVerifier } from "./grant-verifier.ts";
import { logger } from "./logger.ts";
import { lookupBy } from "./lookup.ts";
import { type ListenerBounds, type ListenerHandlers, listenHttp } from "./listener.ts";
import { Metrics } from "./metrics.ts";
import { Peers } from "./peers.ts";
import { dialerOf, resolverOf, seedResolverOf } from "./outbound.ts";
import { relayTls } from "./relay-tls.ts";
import { EdgeAuthorizer } from "./proxy/edge-authorizer.ts";
import { listensAt, ProxyDoor } from "./proxy/proxy-door.ts";
import { ReceiptSigner } from "./receipts.ts";
import { RevocationMetrics } from "./revocations/metrics.ts";
import { RevocationPoller } from "./revocations/poller.ts";
import { Revocations } from "./revocations/revocations.ts";
import { Requests } from "./requests.ts";
import { type Health, routesOf } from "./routes.ts";
import type { SeedResolver } from "./seeds.ts";
import { tryBorrowing } from "./splice/borrowed-reads.ts";
import { Streams, type StreamBounds } from "./streams.ts";
import { tryBareSockets } from "./tcp/trial.ts";
import { Underway } from "./underway.ts";
import { UsageReporter } from "./usage/reporter.ts";
import { Usage } from "./usage/usage.ts";

/** What a node does by the clock, and how much it takes; what the limits have where nothing else is said. */
export interface NodeBounds extends StreamBounds {
  /** Between two reports of usage, on average, in milliseconds. */
  readonly usageMs: number;
  /** How often the edge is asked what was revoked, in milliseconds. */
  readonly revocationsMs: number;
  /** Of the node's own listener. */
  readonly listener: Partial<ListenerBounds & CapSizes>;
}

/** One relay node: its listener, its doors, and what they share. */
export class RelayNode implements NodeContext {
  readonly config: NodeConfig;
  readonly grantKeys: readonly GrantVerifier[];
  readonly consumed: ConsumedIds;
  readonly dialer: Dialer;
  readonly connections: Connections;
  readonly seeds: SeedResolver;
  readonly limits = new ClientLimits();
  readonly revocations = new Revocations();
  readonly receipts: ReceiptSigner;
  readonly usage: Usage;
  readonly log: Logger;
  #peers: Peers | undefined;
  readonly #address: AddressProof;
  readonly #tls: SecureContext;
  readonly #metrics: Metrics;
  readonly #streams: Streams;
  readonly #requests: Requests;
  readonly #underway = new Underway(() => this.#requests.size + this.#streams.size);
  readonly #edge: EdgeClient;
  readonly #poller: RevocationPoller;
  readonly #reporter: UsageReporter;
  #proxy: ProxyDoor | undefined;
  readonly #servers: Server[] = [];
  #starting = true;
  #draining = false;
  /** Its first while: callers may not have heard of it, so that what they can't send elsewhere is still taken. */
  #lingering = false;

  private constructor(
    config: NodeConfig,
    grantKeys: readonly GrantVerifier[],
    log: Logger,
    bounds?: Partial<NodeBounds>,
  ) {
    this.config = config;
    this.grantKeys = grantKeys;
    this.log = log;
    this.consumed = new ConsumedIds(config.state, this.now());
    this.usage = new Usage(config.state, log);
    this.#tls = relayTls(config.relayCa);
    const resolver = resolverOf(config);
    this.#address = new AddressProof(config, resolver, this.#tls, log, (family) =>
      this.connections.retire(family),
    );
    this.dialer = dialerOf(config, resolver, this.#address);
    this.connections = new Connections(this.dialer, this.#address, config.spares);
    this.revocations.onRevoked(({ clients, removed }) => {
      // What was revoked may be what a route was gone by.
      this.connections.spares.forget(new Set(clients));
      this.connections.retireClients(removed);
    });
    this.seeds = seedResolverOf(config);
    this.receipts = new ReceiptSigner(config);
    this.#metrics = new Metrics({
      active: () => this.#requests.size,
      connections: () => this.connections.size,
      slots: () => this.limits.slots,
      draining: () => this.#draining,
      inService: () => this.#address.families(),
    });
    this.connections.spares.measure(this.#metrics.registry);
    const onEnd = () => this.#underway.ended();
    this.#requests = new Requests(this.#metrics, log, onEnd);
    this.#streams = new Streams(this, this.#metrics, log, onEnd, bounds);
    this.#edge = new EdgeClient({ ...config, secureContext: this.#tls, lookup: lookupBy(resolver) });
    this.#poller = new RevocationPoller({
      client: this.#edge,
      revocations: this.revocations,
      metrics: new RevocationMetrics(this.#metrics.registry),
      log,
      intervalMs: bounds?.revocationsMs,
    });
    this.#reporter = new UsageReporter({
      client: this.#edge,
      usage: this.usage,
      onOver: (clients) => this.#streams.overQuota(clients),
      log,
      intervalMs: bounds?.usageMs,
    });
  }

  /**
   * Starts a node: it listens when this resolves, and serves as soon as it has proven an address.
   *
   * @param bounds where not as the limits say
   * @throws RelayError or the system's error where it can't listen
   * @example const node = await RelayNode.start(readNodeConfig("node.json"));
   */
  static async start(
    config: NodeConfig,
    log: Logger = logger(config),
    bounds?: Partial<NodeBounds>,
  ): Promise<RelayNode> {
    await Promise.all([tryBorrowing(), tryBareSockets()]);
    const keys = config.grantKeys.map((bytes) => grantVerifier(bytes));
    const node = new RelayNode(config, keys, log, bounds);
    const peers = await Peers.open(config, node.consumed, node.#tls, () => node.now(), log);
    node.#peers = peers;
    peers.measure(node.#metrics.registry);
    const { listen, metrics } = config;
    const listener = { ...LISTENER, ...bounds?.listener };
    const caps = new ConnectionCaps(listener);
    const handlers: ListenerHandlers = {
      admit: (socket) => caps.admit(socket),
      request: routesOf({
        node,
        requests: node.#requests,
        streams: node.#streams,
        peers,
        metrics: node.#metrics,
        log,
        health: () => node.#health(),
      }),
      isUpgrade: ({ url }) => url === "/stream",
      upgrade: (...upgrade) => node.#streams.upgrade(...upgrade),
    };
    node.#servers.push(await listenHttp(listen, handlers, listener, log));
    if (metrics.port > 0) {
      const server = node.#metrics.server();
      await new Promise<void>((done, failed) =>
        server.once("error", failed).listen(metrics.port, metrics.host, done),
      );
      node.#servers.push(server);
    }
    if (config.proxy !== undefined) {
      node.#proxy = await ProxyDoor.start({
        node,
        streams: node.#streams,
        requests: node.#requests,
        authorizer: new EdgeAuthorizer({
          config,
          grantKeys: keys,
          client: node.#edge,
          revocations: node.revocations,
          registry: node.#metrics.registry,
          log,
        }),
        metrics: node.#metrics,
        log,
      });
    }
    // Peers that start at the same time can see each other now.
    node.#address.start();
    node.#poller.start();
    // It listens before, or two that start at once would wait for each other.
    await peers.read();
    node.#starting = false;
    node.#reporter.start();
    log.info(
      {
        listen: `${listen.host}:${listen.port}`,
        proxy: listensAt(config.proxy),
        egress: config.egress,
        open: config.open,
      },
      "listening",
    );
    return node;
  }

  get draining(): boolean {
    return this.#draining;
  }

  now(): number {
    return Math.floor(Date.now() / 1_000);
  }

  assertServing(canMove: boolean): void {
    if (this.#draining && (canMove || !this.#lingering)) {
      throw new RelayError("node_draining", `${this.config.id} takes no new requests`);
    }
    if (this.#starting) throw new RelayError("node_out_of_service", "the node is starting");
    this.#address.assertProven();
  }

  /**
   * Takes no new requests, lets the running ones finish for the configured time, cuts the rest with a typed error, and
   * closes everything.
   */
  async drain(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    this.log.info({ active: this.#underway.size, seconds: this.config.drainSeconds }, "draining");
    this.#proxy?.stop();
    this.connections.makeNoSpares();
    this.#streams.endParked(new RelayError("node_draining", "the node has to go", { reached: "no" }));
    const drainMs = this.config.drainSeconds * 1_000;
    // Whoever would still send requests hears from an answer that it must not: from a closed port it might not be sure.
    const lingerMs = Math.min(drainMs, DRAIN_LINGER_MS);
    this.#lingering = true;
    await sleep(lingerMs);
    this.#lingering = false;
    await this.#underway.untilIdle(drainMs - lingerMs);
    const cut = this.#underway.size;
    this.#streams.fail(new RelayError("node_draining", "the node had to go", { reached: "yes" }));
    this.#requests.fail();
    // The typed error has to get out before its connection is closed.
    await this.#underway.untilIdle(DRAIN_ANSWER_MS);
    await this.#reporter.last();
    await this.close();
    this.log.info({ cut }, "stopped");
  }

  /** Tells the peers the last ids and closes everything. */
  async close(): Promise<void> {
    const rounds = [this.#poller.close(), this.#reporter.close()];
    await Promise.all([this.#peers?.close(), this.#proxy?.close(), ...rounds]);
    await this.#edge.close();
    this.#address.stop();
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
    this.#streams.close();
    this.connections.close();
    this.consumed.close();
    this.usage.close();
  }

  #health(): Health {
    const reason = this.#address.outOfService();
    if (this.#draining) return { status: "draining" };
    if (this.#starting) return { status: "starting" };
    return reason === undefined ? { status: "ok" } : { status: "out_of_service", reason };
  }
}

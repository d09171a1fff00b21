import type { RelayError } from "../../protocol/errors.ts";
import { isNodesOwnFault } from "../../protocol/node-faults.ts";
import type { OpenWire, StreamWire, WireEvents, WireRequest } from "../stream-wire.ts";
import { GrantsDesk, type NodeGrant } from "./grants.ts";
import { NODE_LEFT_MS, NODE_REACH_MS } from "./limits.ts";
import { openNodeWire, openSocket } from "./node-wire.ts";
import type { Refusal } from "./refusal.ts";

/** How patient the direct way is; milliseconds. */
export interface DirectBounds {
  /** Until a node is reached. */
  readonly reachMs: number;
  /** How long what was out of reach is left alone. */
  readonly leftMs: number;
}

/** Makes wires straight to nodes, and remembers which of them can't be reached from here: one for all streams of an app. */
export class DirectWay {
  readonly desk = new GrantsDesk();
  readonly bounds: DirectBounds;
  /** Until when by `performance.now()`, by the nodes' origins. */
  readonly #left = new Map<string, number>();
  #allLeft = 0;

  constructor(bounds: Partial<DirectBounds> = {}) {
    this.bounds = { reachMs: NODE_REACH_MS, leftMs: NODE_LEFT_MS, ...bounds };
  }

  readonly openWire: OpenWire = (edge, token, events, request) =>
    performance.now() < this.#allLeft
      ? openNodeWire(edge, token, events, request)
      : new DirectWire(this, { edge, token, events, request });

  isLeft(url: string): boolean {
    return performance.now() < (this.#left.get(url) ?? 0);
  }

  /** A node gave no word. */
  leave(url: string): void {
    this.#left.set(url, performance.now() + this.bounds.leftMs);
  }

  /** No node did. */
  leaveAll(): void {
    this.#allLeft = performance.now() + this.bounds.leftMs;
  }
}

/** What one wire is for. */
interface Opening {
  readonly edge: string;
  readonly token: string;
  readonly events: WireEvents;
  readonly request: WireRequest;
}

/** The question for grants, or a wire. */
type UnderWay = Partial<StreamWire> & Pick<StreamWire, "terminate">;

/**
 * A wire to the first node that takes it.
 *
 *   app ──token──▶ edge          grants for up to three nodes
 *   app ──WebSocket + grant──▶ node ──TCP──▶ target
 *
 * The next node is asked where the one before gave no word, or spoke of its own troubles: none of the app's bytes was sent, and
 * a stream that goes on has one node alone. Where a node gave no word and no other one took it, the edge carries it, which may
 * reach what can't be reached from here. What edge or node refuse is refused.
 */
class DirectWire implements StreamWire {
  readonly #way: DirectWay;
  readonly #opening: Opening;
  #grants: NodeGrant[] = [];
  /** What is under way. */
  #current: UnderWay | undefined;
  #wasSilent = false;
  /** What the last node that spoke said of itself. */
  #fault: RelayError | undefined;
  #isOver = false;
  #isKept = true;

  constructor(way: DirectWay, opening: Opening) {
    this.#way = way;
    this.#opening = opening;
    const call = way.desk.ask(opening.edge, opening.token);
    this.#hold(call);
    call.grants.then(
      (grants) => {
        this.#grants = [...grants];
        this.#next();
      },
      (error: unknown) => this.#closed(error as RelayError),
    );
  }

  get isOpen(): boolean {
    return this.#current?.isOpen !== false;
  }

  send(message: Uint8Array | string): void {
    this.#current?.send?.(message);
  }

  close(): void {
    if (this.#current?.close === undefined) return this.terminate();
    this.#isOver = true;
    this.#current.close();
  }

  terminate(): void {
    this.#isOver = true;
    // What is given up by this end had mostly fallen silent.
    if (this.#current?.send !== undefined) this.#way.desk.forgetConnections();
    this.#current?.terminate();
  }

  keepAlive(isWanted: boolean): void {
    this.#isKept = isWanted;
    this.#current?.keepAlive?.(isWanted);
  }

  #hold(current: UnderWay): void {
    this.#current = current;
    if (!this.#isKept) current.keepAlive?.(false);
  }

  #next(): void {
    if (this.#isOver) return;
    const grant = this.#grants.shift();
    if (grant === undefined) return this.#afterAll();
    if (this.#way.isLeft(grant.url)) {
      this.#wasSilent = true;
      return this.#next();
    }
    const { events } = this.#opening;
    const ask = {
      origin: grant.url,
      bearer: grant.grant,
      reachMs: this.#way.bounds.reachMs,
      mustVerify: true,
    };
    this.#hold(
      openSocket(ask, {
        message: (message) => events.message(message),
        ended: () => {
          if (this.#isOver) return;
          this.#way.desk.forgetConnections();
          this.#closed(undefined);
        },
        refused: (refusal) => this.#refused(grant, refusal),
        failed: () => this.#silent(grant),
      }),
    );
  }

  #refused(grant: NodeGrant, { error, code, node }: Refusal): void {
    // That it has another name, a node of another name says.
    const isWord = code !== undefined && (node === grant.node || code === "grant_node");
    if (!isWord) return this.#silent(grant);
    if (!isNodesOwnFault(code)) return this.#closed(error);
    this.#fault = error;
    this.#next();
  }

  /** Nothing came of the node's own: it is out of reach, or something stands between. */
  #silent({ url }: NodeGrant): void {
    if (this.#isOver) return;
    this.#way.leave(url);
    this.#wasSilent = true;
    this.#next();
  }

  #afterAll(): void {
    const { request } = this.#opening;
    if (!this.#wasSilent) return this.#closed(this.#fault);
    // The one node of a stream that goes on says nothing of the others.
    if (this.#fault === undefined && !request.isResume) this.#way.leaveAll();
    this.#current = undefined;
    request.anotherToken().then(
      (token) => this.#byEdge(token),
      (error: unknown) => this.#closed(error as RelayError),
    );
  }

  #byEdge(token: string): void {
    if (this.#isOver) return;
    const { edge, events, request } = this.#opening;
    this.#hold(openNodeWire(edge, token, events, request));
  }

  #closed(error: RelayError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#opening.events.closed(error);
  }
}

import type { Socket } from "node:net";
import { type ErrorCode, type Reached, RelayError, type RelayErrorOptions } from "../../protocol/errors.ts";
import type { Field } from "../../protocol/headers.ts";
import type { Framing, RequestClaims } from "../../protocol/claims.ts";
import { type Answer, type FakePool, type FakePoolNode, fails, idFor, targets } from "./fake-pool.ts";
import { FORMS } from "./fidelity.ts";
import type { MessageHead } from "./http-message.ts";
import { EdgeCall, type Wire } from "./raw-caller.ts";

/** One request to a pool, for which these nodes may make the call and the first of them is asked first. */
export interface PoolCall {
  readonly nodes: readonly Pick<FakePoolNode, "id">[];
  readonly method?: string;
  readonly form?: (typeof FORMS)[number]["form"];
  readonly body?: string | undefined;
  /** The body's length by default. */
  readonly framing?: Framing;
  readonly fields?: readonly Field[];
  readonly claims?: Partial<RequestClaims>;
}

/** What the caller got. */
export interface PoolAnswer {
  /** `target`, or the code of the relay's failure. */
  readonly mark: string;
  readonly reached: Reached | undefined;
  readonly node: string | undefined;
  readonly body: string;
  readonly head: MessageHead;
}

/** What callers of these tests ask for; nobody goes there. */
export const TARGET = "https://api.example.com";

/** The request as it stands on the wire. */
export function poolWire(pool: FakePool, call: PoolCall): Promise<Wire> {
  const { nodes, method = "GET", form = "enveloped", body, fields = [], claims } = call;
  const { wire } = FORMS.find((one) => one.form === form)!;
  return wire(pool.relayUrl, {
    method,
    url: `${TARGET}/x`,
    fields,
    framing: call.framing ?? body?.length ?? "none",
    claims: { jti: idFor(nodes), node: nodes.map(({ id }) => id), ...claims },
  });
}

/** @example const { mark, node } = await ask(pool, { nodes: pool.pair(), method: "POST", body: "x" }); */
export async function ask(pool: FakePool, call: PoolCall): Promise<PoolAnswer> {
  const { head, body } = await EdgeCall.make(pool.edge, await poolWire(pool, call), call.body);
  return answerOf(head, body.content.toString("latin1"));
}

/** Reads the marks of an answer. */
export function answerOf(head: MessageHead, body: string): PoolAnswer {
  const field = (name: string) => head.fields.find(([other]) => other.toLowerCase() === name)?.[1];
  return {
    mark: field("relay-error") ?? field("relay-status") ?? `nothing: ${head.start}`,
    reached: field("relay-reached") as Reached | undefined,
    node: field("relay-node"),
    body,
    head,
  };
}

/** How a node is broken. */
export type Breaking = (node: FakePoolNode) => void | Promise<void>;

/** By what it answers. */
export const answering =
  (answer: Answer): Breaking =>
  (node) =>
    void (node.answer = answer);

/** By a failure that it tells. */
export const failing = (code: ErrorCode, options?: RelayErrorOptions): Breaking =>
  answering(fails(new RelayError(code, "it says so", options)));

/** By how it takes connections. */
export const connecting =
  (take: (socket: Socket) => void): Breaking =>
  (node) =>
    node.takeConnections(take);

/** Breaks a node of a pair that nothing has been sent to, and sends a request that meets it before the one that works. */
export async function meet(pool: FakePool, breaking: Breaking, call: Omit<PoolCall, "nodes"> = {}) {
  const nodes = pool.pair();
  const [first, second] = nodes;
  second.answer = targets("from the second");
  await breaking(first);
  return { ...(await ask(pool, { nodes, ...call })), first, second };
}

/** Requests that must not be made twice. */
export const ONCE = [
  { what: "POST with a body", method: "POST", body: "amount=100" },
  { what: "POST with no body", method: "POST", body: undefined },
  { what: "POST with an empty body", method: "POST", body: "" },
  { what: "PATCH with the longest body that is held", method: "PATCH", body: "x".repeat(65_536) },
] as const;

/** And those that may. */
export const AGAIN = [
  { what: "GET", method: "GET", body: undefined, claims: {} },
  { what: "PUT with a body", method: "PUT", body: "amount=100", claims: {} },
  { what: "DELETE", method: "DELETE", body: undefined, claims: {} },
  {
    what: "POST that is said to be idempotent",
    method: "POST",
    body: "amount=100",
    claims: { idempotent: true },
  },
] as const;

import { errorFromProblem, RelayError } from "../protocol/errors.ts";
import { type Field, WIRE } from "../protocol/headers.ts";
import { isNodesOwnFault } from "../protocol/node-faults.ts";
import type { EdgeNode } from "./config.ts";
import type { Fault } from "./health.ts";
import type { Pool } from "./pool.ts";
import { probe } from "./probe.ts";
import { type Tailed, tailed, type Upload } from "./upload.ts";
import { watchNode } from "./watch.ts";

/**
 * How one attempt at one node ended:
 * - `answer`: the node answered, a target's answer or an error that is the last word;
 * - `elsewhere`: it is certain that the node did not begin, so that another one can be asked;
 * - `doubt`: it may have begun.
 */
export type Outcome =
  | {
      readonly kind: "answer";
      readonly answer: Response;
      /** Of the node's error; null where the answer is the target's. */
      readonly code: string | null;
    }
  | { readonly kind: "elsewhere" | "doubt"; readonly error: RelayError };

/** What is asked of a node, of whichever one. */
export interface Errand {
  readonly method: "GET" | "POST";
  readonly path: "/fetch" | "/stream" | "/resolve";
  readonly upload: Upload;
  /** Repeating it does no harm. */
  readonly repeatable: boolean;
  /** No target is sent any of the caller's bytes before the node's answer is there, so that it is certain that none has seen them. */
  readonly unseen?: boolean;
}

/** One attempt. */
export interface Attempt extends Errand {
  readonly node: EdgeNode;
  readonly requestId: string;
  /** The caller's own signal. */
  readonly signal: AbortSignal;
  /** The wire fields, once it is known whether a tail follows the body. */
  headers(tail: number | undefined): Promise<readonly Field[]>;
}

/**
 * Sends a request to a node and judges what comes of it. What lies with the node is noted in the pool.
 *
 * @throws the caller's signal's reason, where the caller went away
 */
export async function attemptAt(attempt: Attempt, pool: Pool): Promise<Outcome> {
  const { node, method, path, upload, repeatable, signal } = attempt;
  const withTail = upload.kind === "held" && !repeatable ? tailed(upload.bytes) : undefined;
  const gaveUp = new AbortController();
  const headers = await attempt.headers(withTail?.tail);
  const stop = watchNode(
    pool,
    node,
    () => repeatable || withTail?.isHanded() === false,
    () => gaveUp.abort(new Error("the node is gone")),
  );
  try {
    const answer = await fetch(`${node.url}${path}`, {
      method,
      headers: headers as [string, string][],
      body: bodyOf(upload, withTail),
      redirect: "manual",
      signal: AbortSignal.any([signal, gaveUp.signal]),
    });
    return await judge(answer, attempt, pool);
  } catch (cause) {
    if (signal.aborted) throw cause;
    const isCertain = attempt.unseen === true || (await withTail?.handed()) === "no";
    if (!gaveUp.signal.aborted) await blame(node, pool);
    return {
      kind: isCertain ? "elsewhere" : "doubt",
      error: new RelayError("node_unreachable", `the call to ${node.id} failed`, {
        cause,
        reached: isCertain ? "no" : "unknown",
        ...about(attempt),
      }),
    };
  } finally {
    stop();
  }
}

function bodyOf(upload: Upload, withTail: Tailed | undefined): BodyInit | null {
  if (withTail !== undefined) return withTail.body;
  if (upload.kind === "stream") return upload.body;
  return upload.bytes.length === 0 ? null : upload.bytes;
}

/** `Relay-Status` of a target's answer, and of a path that is opened ahead of its dial. */
const GOOD_STATUSES = new Set(["target", "parked"]);

/** It serves nobody at present. */
const TAKES_NOTHING = new Set(["node_draining", "node_out_of_service"]);

/**
 * Statuses by which Cloudflare says itself that it got no connection to the node, or no TLS on it. 520, 522 and 524 may
 * come after the request was sent, and 530 stands for many things.
 */
const NEVER_SENT = new Set([521, 523, 525, 526]);

async function judge(answer: Response, attempt: Attempt, pool: Pool): Promise<Outcome> {
  const { node } = attempt;
  const code = answer.headers.get(WIRE.error);
  if (code === null && GOOD_STATUSES.has(answer.headers.get(WIRE.status) ?? "")) {
    pool.heard(node.id, Date.now());
    return { kind: "answer", answer, code };
  }
  // That it has another name, a node of another name says.
  if (code !== null && (answer.headers.get(WIRE.node) === node.id || code === "grant_node")) {
    pool.heard(node.id, Date.now());
    if (!isNodesOwnFault(code)) return { kind: "answer", answer, code };
    const error = errorFromProblem(code, await answer.text(), answer.headers);
    // Of the rest, a caller may have found out how to provoke it: that must not take node after node from the others.
    if (TAKES_NOTHING.has(code)) pool.failed(node.id, faultOf(error), Date.now());
    return { kind: attempt.unseen === true || error.reached === "no" ? "elsewhere" : "doubt", error };
  }
  await discard(answer);
  const neverSent = attempt.unseen === true || NEVER_SENT.has(answer.status);
  await blame(node, pool);
  const detail = `what stands before ${node.id} answered ${answer.status} itself`;
  const reached = neverSent ? "no" : "unknown";
  return {
    kind: neverSent ? "elsewhere" : "doubt",
    error: new RelayError("node_failed", detail, { reached, ...about(attempt) }),
  };
}

async function discard({ webSocket, body }: Response): Promise<void> {
  webSocket?.accept();
  webSocket?.close();
  await body?.cancel();
}

/**
 * A call that failed without the node's own word says little of the node: an upload that its caller ends early looks the
 * same, and so does whatever a caller may find that a parser on the way doesn't like. That must not put node after node out of
 * use for all others, so the node is asked.
 */
async function blame(node: EdgeNode, pool: Pool): Promise<void> {
  const fault = await probe(node);
  if (fault !== undefined) pool.failed(node.id, fault, Date.now());
}

function faultOf({ code, detail }: RelayError): Fault {
  return { reason: `${code}: ${detail}`, gone: false };
}

function about({ node, requestId }: Attempt) {
  return { node: node.id, requestId };
}

import { expect } from "vitest";
import type { Field } from "../../protocol/headers.ts";
import type { Framing } from "../../protocol/claims.ts";
import type { Bench } from "./fidelity.ts";
import type { BodyRecord, MessageHead } from "./http-message.ts";
import { EdgeCall, raw } from "./raw-caller.ts";
import type { OriginExchange } from "./raw-origin.ts";

/** A raw call, and what came out at both its ends. */
export interface RawRelayed {
  readonly exchange: OriginExchange;
  /** The request line that the target saw. */
  readonly start: string;
  /** And the fields, without the two that are the node's own. */
  readonly fields: readonly Field[];
  readonly answer: { readonly head: MessageHead; readonly body: BodyRecord };
}

/** Sends a raw request that is answered with 200. */
export async function rawRelayed(
  bench: Bench,
  call: {
    readonly method: string;
    readonly path?: string;
    readonly fields?: readonly Field[];
    readonly framing?: Framing;
    readonly body?: string;
  },
): Promise<RawRelayed> {
  const { path = "/r", body, ...rest } = call;
  const wire = await raw(bench.relayUrl, { ...rest, url: bench.tls.url + path });
  const answer = await EdgeCall.make(bench.edge, wire, body);
  expect(answer.head.start).toBe("HTTP/1.1 200 OK");
  const exchange = await bench.tls.request();
  await exchange.ended;
  const [host, connection, ...fields] = exchange.head.fields;
  expect(host).toEqual(["host", bench.tls.host]);
  expect(connection![0]).toBe("connection");
  return { exchange, start: exchange.head.start, fields, answer };
}

/** An answer's fields without the relay's own. */
export function targetFields(fields: readonly Field[]): Field[] {
  return fields.filter(([name]) => !name.toLowerCase().startsWith("relay-"));
}

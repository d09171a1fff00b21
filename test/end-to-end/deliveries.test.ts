import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DeliveryDetail } from "../../protocol/deliveries.ts";
import { handOver, sendOver, untilSo } from "../support/deliveries.ts";
import { type Bench, startBench } from "../support/fidelity.ts";
import { enveloped } from "../support/raw-caller.ts";
import type { OriginExchange } from "../support/raw-origin.ts";

/** Requests handed over to the edge in workerd, and made by a node to an origin that notes every byte. */

let bench: Bench;
let url: string;
beforeAll(async () => {
  bench = await startBench();
  ({ url } = bench.tls);
});
afterAll(() => bench.stop());

const hasEnded = ({ state }: DeliveryDetail) => state !== "pending";

/** The next request at the target, whole. */
async function arrived(): Promise<OriginExchange> {
  const exchange = await bench.tls.request();
  await exchange.ended;
  return exchange;
}

function bytesOf(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) % 256);
}

describe("a request that is made later", () => {
  const fields = [
    ["X-Repeat", "one"],
    ["Content-Type", "application/x-www-form-urlencoded"],
    ["x-repeat", "two"],
    ["Authorization", "Bearer s3cr3t"],
    ["X-Bytes", "caf\xe9 \xff"],
  ] as const;

  test.for([
    ["text", Buffer.from("a=1&b=%20&c=+")],
    ["bytes that are no UTF-8", Uint8Array.from([0xff, 0xfe, 0x00, 0x80, 0xc3, 0x28, 0x0d, 0x0a])],
    ["an empty one", new Uint8Array()],
    ["one that is held at the edge, and not at the node", bytesOf(100_000)],
    ["one of several pieces", bytesOf(700_001)],
    ["25 MB", bytesOf(25 * 1_048_576)],
  ] as const)("arrives as it came, with %s", async ([, body]) => {
    const call = { method: "POST", url: `${url}/in/%7Ex?a=b%zz`, fields, framing: body.length };
    const told = await handOver(bench.relayUrl, call, body);
    expect([told.status, told.json["status"]]).toEqual([202, "stored"]);
    const { head, body: came } = await arrived();
    expect(head.start).toBe("POST /in/%7Ex?a=b%zz HTTP/1.1");
    const hop = new Set(["host", "connection", "content-length"]);
    expect(head.fields.filter(([name]) => !hop.has(name.toLowerCase()))).toEqual(fields);
    expect([came.bytes, came.sha256]).toEqual([body.length, createHash("sha256").update(body).digest("hex")]);
    expect(head.framing).toBe(body.length);
    const detail = await untilSo(bench.relayUrl, told.json["id"], hasEnded);
    expect(detail).toMatchObject({ state: "delivered", spent: 1, size: body.length, method: "POST" });
    expect(detail.answer).toEqual({ status: 200, body: btoa("ok"), isCut: false });
    expect(detail.attempts).toMatchObject([
      { n: 1, result: "answered", status: 200, node: "node-1", egress: "127.0.0.2" },
    ]);
  });

  test("arrives with a length, where it came in chunks", async () => {
    const body = bytesOf(300_000);
    const call = { method: "PUT", url: `${url}/chunks`, framing: "chunked" } as const;
    await handOver(bench.relayUrl, call, body);
    const { head, body: came } = await arrived();
    expect([head.start, head.framing, came.bytes]).toEqual(["PUT /chunks HTTP/1.1", 300_000, 300_000]);
  });

  test("arrives without a body, where it has none", async () => {
    await handOver(bench.relayUrl, { method: "GET", url: `${url}/nothing` });
    const { head } = await arrived();
    expect([head.start, head.framing]).toEqual(["GET /nothing HTTP/1.1", "none"]);
    expect(head.fields.map(([name]) => name.toLowerCase())).not.toContain("content-length");
  });

  test("is taken with fields of its own in place of an envelope", async () => {
    const { fields: wire } = await enveloped(bench.relayUrl, {
      method: "PATCH",
      url: `${url}/raw`,
      claims: { act: "enqueue", framing: 2 },
    });
    const [authorization] = wire;
    const told = await sendOver(
      bench.relayUrl,
      { method: "POST", framing: 2, fields: [authorization!, ["X-Own", "yes"]] },
      "{}",
    );
    expect(told.status).toBe(202);
    const { head, body } = await arrived();
    expect(head.start).toBe("PATCH /raw HTTP/1.1");
    expect(head.fields.map(([name, value]) => `${name.toLowerCase()}: ${value}`)).toContain("x-own: yes");
    expect(head.fields.map(([name]) => name.toLowerCase())).not.toContain("relay-authorization");
    expect(body.content.toString()).toBe("{}");
  });
});

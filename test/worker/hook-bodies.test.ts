import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FakePool, type Sent, startFakePool, targets } from "../support/fake-pool.ts";
import { countsOf, putRoute } from "../support/hook-routes.ts";
import { HOOK_SENDERS } from "../support/hook-senders.ts";
import { sendHook } from "../support/send-hook.ts";

/** What a provider sent arrives as it was: bytes, fields and query. */

let pool: FakePool;
let routes = 0;
beforeAll(async () => {
  pool = await startFakePool(1, ["https://internal.example.com"]);
  pool.nodes[0]!.answer = targets("taken");
});
afterAll(() => pool.stop());

async function route(form: object = {}): Promise<string> {
  const id = `body-${++routes}`;
  await putRoute(pool.operator, { id, target: `https://internal.example.com/${id}?own=1`, ...form });
  return id;
}

/** What the node was sent for a route, once it has come. */
async function deliveredTo(id: string): Promise<Sent> {
  const found = () => pool.nodes[0]!.sent.filter(({ grant }) => grant.url.includes(`/${id}?`));
  await expect.poll(found).toHaveLength(1);
  return found()[0]!;
}

const send = (id: string, body: Buffer, chunk?: number, fields: readonly string[] = [], query = "") =>
  sendHook({ port: Number(new URL(pool.edge).port) }, `${id}${query}`, body, { chunk, fields });

const counted = (size: number) => Buffer.from(Uint32Array.from({ length: size / 4 }, (_, n) => n).buffer);

describe.each([
  ["with a length", undefined],
  ["in chunks", 10_000],
])("a body %s arrives as it was:", (_how, chunk) => {
  test.each([
    ["nothing", Buffer.alloc(0)],
    ["bytes that are no UTF-8", Buffer.from([0xff, 0, 0xc3, 0x28, 13, 10, 0x80])],
    ["a form", Buffer.from("a=1&b=%FF&c=+")],
    ["as much as is held", counted(262_144)],
    ["a little more", counted(262_148)],
    ["a megabyte", counted(1_048_576)],
  ])("%s", async (_what, body) => {
    const id = await route();
    expect(await send(id, body, chunk)).toBe(202);
    const { body: came, grant } = await deliveredTo(id);
    expect(Buffer.from(came, "latin1").equals(body)).toBe(true);
    expect(grant).toMatchObject({ sub: "app", htm: "POST", framing: body.length });
  });
});

test("25 MB in chunks, signed, arrive as they were", async () => {
  const sender = HOOK_SENDERS[0]!;
  const [secret] = sender.secrets;
  const id = await route({ verifier: { type: sender.type, secrets: [secret] } });
  const body = counted(25 * 1_048_576);
  const sign = (other = secret) => sender.sign(other, body, Math.floor(Date.now() / 1_000), "");
  const lines = async (signed: ReturnType<typeof sign>) =>
    Object.entries((await signed).headers).map(([name, value]) => `${name}: ${value}`);
  expect(await send(id, body, 65_536, await lines(sign(sender.secrets[1])))).toBe(401);
  expect(await send(id, body, 65_536, await lines(sign()))).toBe(202);
  const { body: came } = await deliveredTo(id);
  expect(Buffer.from(came, "latin1").equals(body)).toBe(true);
  expect(await send(id, Buffer.alloc(25 * 1_048_576 + 1), 65_536, await lines(sign()))).toBe(413);
  expect(await countsOf(pool.operator, id)).toMatchObject({ accepted: 1 });
});

test("fields and query arrive as they came, but those of the connection and the relay's own", async () => {
  const id = await route();
  const fields = [
    "Content-Type: text/plain; charset=utf-8",
    "X-Empty:",
    "X-Utf8: gr\u00c3\u00bc\u00c3\u009f",
    "Authorization: Bearer of-the-provider",
    "Stripe-Signature: t=1,v1=00",
    "Relay-Target: https://elsewhere.example.com",
    "Proxy-Authorization: none",
    "X-Forwarded-For: 192.0.2.1",
  ];
  expect(await send(id, Buffer.from("x"), undefined, fields, "?a=%7E&b=c+d%zz")).toBe(202);
  const { grant, fields: came } = await deliveredTo(id);
  expect(grant.url).toBe(`https://internal.example.com/${id}?own=1&a=%7E&b=c+d%zz`);
  const names = came.map(([name]) => name.toLowerCase());
  expect(came).toContainEqual(["authorization", "Bearer of-the-provider"]);
  expect(came).toContainEqual(["stripe-signature", "t=1,v1=00"]);
  expect(came).toContainEqual(["x-empty", ""]);
  expect(came).toContainEqual(["x-utf8", "gr\u00c3\u00bc\u00c3\u009f"]);
  for (const gone of ["relay-target", "proxy-authorization", "x-forwarded-for", "host", "connection"]) {
    expect(names).not.toContain(gone);
  }
});

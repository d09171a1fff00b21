import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createRelay, type Relay } from "../../client/index.ts";
import { checkRequestClaims, type RequestClaims } from "../../protocol/claims.ts";
import { sectionFromWire } from "../../protocol/envelope.ts";
import { type ErrorCode, problemResponse, RelayError } from "../../protocol/errors.ts";
import { type BoundKey, generateClientKey, importPublicKey } from "../../protocol/keys.ts";
import { digestOf, readBearer, verifySignature } from "../../protocol/tokens.ts";
import { failureOf } from "../support/fidelity.ts";

/** An edge that knows deliveries alone: it proves each token, as the real one does, and answers as it is told. */
let server: http.Server;
let origin: string;
let relay: Relay;
let publicKey: BoundKey;
type Answer = { readonly status: number; readonly json: unknown } | ErrorCode | "nothing" | "a page";
let answers: Answer[];
let asked: {
  readonly token: string;
  readonly claims: RequestClaims;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
}[];

const ID = `dlv_A${"A".repeat(22)}`;
const STORED = { status: 202, json: { id: ID, status: "stored" } } as const;
const TARGET = "https://api.bank.com/v1/payments";

beforeEach(async () => {
  const { publicJwk, privateKey } = await generateClientKey();
  publicKey = await importPublicKey(publicJwk);
  asked = [];
  answers = [];
  server = http.createServer((request, response) => void answer(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  origin = `http://127.0.0.1:${port}`;
  relay = createRelay(`http://app:${privateKey}@127.0.0.1:${port}`);
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const bearer = readBearer("request", request.headers["relay-authorization"] as string);
  await verifySignature(bearer, [publicKey]);
  const act = request.method === "GET" ? "delivery" : "enqueue";
  asked.push({
    token: bearer.token,
    claims: checkRequestClaims(bearer.claims, origin, Date.now() / 1_000, act),
    fields: sectionFromWire((name) => request.headers[name] as string | undefined),
    body: Buffer.concat(parts).toString(),
  });
  const next = answers.shift() ?? STORED;
  if (next === "nothing") request.socket.destroy();
  else if (next === "a page") response.writeHead(520).end("<h1>Sorry</h1>");
  else if (typeof next === "string") {
    const { status, headers, body } = problemResponse(new RelayError(next, "told"));
    response.writeHead(status, Object.fromEntries(headers)).end(body);
  } else response.writeHead(next.status).end(JSON.stringify(next.json));
}

const PAYMENT = { method: "POST", body: "{}" } as const;

describe("handing a request over", () => {
  test("signs what is to be made and how, and takes the options out of what fetch has", async () => {
    const options = { key: "payment 1", lane: "payments", schedule: [0, 60], callback: `${origin}/done` };
    const headers = [["Idempotency-Key", "1"]] as [string, string][];
    expect(await relay.enqueue(`${TARGET}#part`, { ...PAYMENT, headers, ...options })).toEqual(STORED.json);
    const [{ claims, fields, body } = {}] = asked;
    expect(claims).toMatchObject({
      iss: "app",
      act: "enqueue",
      htm: "POST",
      url: TARGET,
      framing: 2,
      digest: await digestOf(Uint8Array.from(Buffer.from("{}"))),
      delivery: options,
    });
    expect(body).toBe("{}");
    expect(fields).toEqual([
      ["Idempotency-Key", "1"],
      ["accept", "*/*"],
      ["user-agent", "holdfast"],
      ["content-type", "text/plain;charset=UTF-8"],
    ]);
  });

  test("a Request is taken as well, and what is known already is told", async () => {
    answers = [{ status: 200, json: { id: ID, status: "duplicate" } }];
    expect(await relay.enqueue(new Request(TARGET, PAYMENT))).toEqual({ id: ID, status: "duplicate" });
    expect(asked[0]!.claims).toMatchObject({ htm: "POST", framing: 2 });
    expect(asked[0]!.claims).not.toHaveProperty("delivery");
  });

  test.for([["storage_unavailable"], ["registry_unavailable"], ["nothing"], ["a page"]] as const)(
    "after %s it is handed over again, by the very same token",
    async ([first]) => {
      answers = [first];
      expect(await relay.enqueue(TARGET, PAYMENT)).toEqual(STORED.json);
      expect(asked.map(({ token }) => token)).toEqual([asked[0]!.token, asked[0]!.token]);
      expect(asked[1]!.body).toBe("{}");
    },
  );

  test("a stream that was read is not", async () => {
    answers = ["storage_unavailable"];
    const body = new Blob(["{}"]).stream();
    const error = await failureOf(
      relay.enqueue(TARGET, { method: "POST", body, duplex: "half" } as RequestInit),
    );
    expect([error.code, error.reached, asked.length]).toEqual(["storage_unavailable", "unknown", 1]);
  });

  test.for([["backlog_full"], ["delivery_conflict"], ["target_not_allowed"]] as const)(
    "%s is the edge's last word",
    async ([code]) => {
      answers = [code];
      expect((await failureOf(relay.enqueue(TARGET, PAYMENT))).code).toBe(code);
      expect(asked).toHaveLength(1);
    },
  );

  test("who gives up waits no longer", async () => {
    answers = ["storage_unavailable"];
    const reason = new Error("enough");
    const gaveUp = new AbortController();
    const waiting = relay.enqueue(TARGET, { ...PAYMENT, signal: gaveUp.signal });
    setTimeout(() => gaveUp.abort(reason), 100);
    await expect(waiting).rejects.toBe(reason);
    expect(asked).toHaveLength(1);
  });

  test.for([
    [{ key: "" }, "request_invalid"],
    [{ schedule: [] }, "request_invalid"],
    [{ lane: "l".repeat(257) }, "request_invalid"],
    [{ headers: { "Relay-Target": "x" } }, "fields_invalid"],
  ] as const)("%j is refused before anything is sent", async ([init, code]) => {
    expect((await failureOf(relay.enqueue(TARGET, init))).code).toBe(code);
    expect(asked).toHaveLength(0);
  });
});

describe("asking how it is", () => {
  test("signs for this delivery alone", async () => {
    const detail = { id: ID, state: "delivered", attempts: [] };
    answers = [{ status: 200, json: detail }];
    expect(await relay.delivery(ID)).toEqual(detail);
    expect(asked[0]!.claims).toMatchObject({
      act: "delivery",
      htm: "GET",
      url: `${origin}/deliveries/${ID}`,
    });
  });

  test.for([
    ["delivery_unknown", ID, "delivery_unknown"],
    [{ status: 200, json: { id: "dlv_other", state: "delivered" } }, ID, "answer_invalid"],
    [{ status: 200, json: { id: ID, state: "lost" } }, ID, "answer_invalid"],
    ["a page", ID, "edge_failed"],
    ["nothing", "../admin/clients", "request_invalid"],
  ] as const)("%j about %s is %s", async ([said, id, code]) => {
    answers = [said];
    expect((await failureOf(relay.delivery(id))).code).toBe(code);
  });
});

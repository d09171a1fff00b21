import OpenAI, { toFile } from "openai";
import Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createRelay, relayInfo, RelayError } from "../../client/index.ts";
import { type FakeEdge, sendError, startFakeEdge } from "../support/fake-edge.ts";
import { type Origin, startOrigin } from "./origin.ts";

let edge: FakeEdge;
let origin: Origin;

beforeAll(async () => {
  edge = await startFakeEdge();
  origin = await startOrigin((got, response) => {
    const json = (status: number, value: unknown) => {
      response.writeHead(status, { "Content-Type": "application/json", "Request-Id": "req_1" });
      response.end(JSON.stringify(value));
    };
    if (got.url === "/v1/chat/completions") {
      const asked = JSON.parse(got.body.toString()) as { stream?: boolean };
      if (asked.stream === true) {
        response.writeHead(200, { "Content-Type": "text/event-stream" });
        const words = ["Hold", "fast", "!"];
        const tick = () => {
          const content = words.shift();
          if (content === undefined) return void response.end("data: [DONE]\n\n");
          response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
          setTimeout(tick, 10);
        };
        return tick();
      }
      return json(200, {
        id: "c1",
        choices: [{ index: 0, message: { role: "assistant", content: "hello" } }],
      });
    }
    if (got.url === "/v1/files") return json(200, { id: "file-1", bytes: got.body.length });
    if (got.url === "/v1/payment_intents") {
      if (got.body.toString().includes("amount=402")) {
        return json(402, {
          error: { type: "card_error", code: "card_declined", message: "Your card was declined." },
        });
      }
      return json(200, { id: "pi_1", object: "payment_intent", amount: 1000 });
    }
    json(404, { error: { message: "no such route" } });
  });
});
afterAll(async () => {
  await edge.close();
  await origin.close();
});
afterEach(() => {
  edge.reset();
  origin.got.length = 0;
});

describe("openai", () => {
  const client = () =>
    new OpenAI({
      apiKey: "sk-test",
      baseURL: `${origin.url}/v1`,
      maxRetries: 0,
      fetch: createRelay(edge.url).fetch,
    });
  const question = { model: "m", messages: [{ role: "user" as const, content: "hi" }] };

  test("gets a chat completion", async () => {
    const { data, response } = await client().chat.completions.create(question).withResponse();
    expect(data.choices[0]!.message.content).toBe("hello");
    expect(relayInfo(response)?.node).toBe("node-a");
    expect(origin.got[0]!.headers.authorization).toBe("Bearer sk-test");
    expect(edge.seen[0]!.claims).toMatchObject({ htm: "POST", framing: origin.got[0]!.body.length });
  });

  test("streams a chat completion", async () => {
    const words: string[] = [];
    for await (const chunk of await client().chat.completions.create({ ...question, stream: true })) {
      words.push(chunk.choices[0]!.delta.content ?? "");
    }
    expect(words).toEqual(["Hold", "fast", "!"]);
  });

  test("uploads a file", async () => {
    const content = "line\n".repeat(10_000);
    const file = await client().files.create({
      file: await toFile(Buffer.from(content), "a.jsonl"),
      purpose: "batch",
    });
    expect(file.id).toBe("file-1");
    const [got] = origin.got;
    expect(got!.headers["content-type"]).toMatch(/^multipart\/form-data; ?boundary=/);
    expect(got!.body.toString()).toContain(content);
    expect(got!.body.toString()).toContain('filename="a.jsonl"');
  });

  test("sees a target's error as its own, and the relay's as a connection error with its cause", async () => {
    await expect(client().models.list()).rejects.toMatchObject({ status: 404 });
    edge.next((_, response) => sendError(response, new RelayError("target_not_allowed", "not yours")));
    const error = await client()
      .models.list()
      .then(
        () => undefined,
        (cause: unknown) => cause,
      );
    expect(error).toBeInstanceOf(OpenAI.APIConnectionError);
    expect((error as Error).cause).toMatchObject({ code: "target_not_allowed" });
  });
});

describe("stripe", () => {
  const client = (maxNetworkRetries = 0) =>
    new Stripe("sk_test_1", {
      host: "127.0.0.1",
      port: Number(new URL(origin.url).port),
      protocol: "http",
      maxNetworkRetries,
      telemetry: false,
      httpClient: Stripe.createFetchHttpClient(createRelay(edge.url).fetch),
    });

  test("creates a payment intent", async () => {
    const params = { amount: 1000, currency: "eur", metadata: { note: "a&b" } };
    const intent = await client().paymentIntents.create(params, { idempotencyKey: "order-7" });
    expect(intent.id).toBe("pi_1");
    const [got] = origin.got;
    expect(got!.body.toString()).toBe("amount=1000&currency=eur&metadata[note]=a%26b");
    expect(got!.headers).toMatchObject({
      "idempotency-key": "order-7",
      "content-type": "application/x-www-form-urlencoded",
      authorization: "Bearer sk_test_1",
      "content-length": String(got!.body.length),
    });
  });

  test("sees a declined card as its own error", async () => {
    const error = await client()
      .paymentIntents.create({ amount: 402, currency: "eur" })
      .then(
        () => undefined,
        (cause: unknown) => cause,
      );
    expect(error).toBeInstanceOf(Stripe.errors.StripeCardError);
    expect(error).toMatchObject({ statusCode: 402, code: "card_declined", requestId: "req_1" });
  });

  test("tries again with the same idempotency key after a failure of the relay's", async () => {
    edge.next((_, response) => sendError(response, new RelayError("node_draining", "another will take it")));
    await client(1).paymentIntents.create({ amount: 1000, currency: "eur" });
    const keys = edge.seen.map(
      ({ fields }) => fields.find(([name]) => name.toLowerCase() === "idempotency-key")?.[1],
    );
    expect(keys.length).toBe(2);
    expect(keys[0]).toBe(keys[1]);
    expect(new Set(edge.seen.map(({ claims }) => claims.jti)).size).toBe(2);
  });
});

import { createRelay } from "../../client/index.ts";

/**
 * Sends or takes bulk bodies through the relay, all at once, in a process of its own.
 * Arguments: direction, streams, bytes each, target, node; the relay's URL in HOLDFAST_URL. Says how many were whole.
 */
const [direction, streams, bytes, target, node] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const relay = createRelay(process.env["HOLDFAST_URL"], { node });
const size = Number(bytes);
const piece = new Uint8Array(65_536);

async function down(): Promise<number> {
  const response = await relay.fetch(`${target}/?bytes=${size}`);
  let count = 0;
  for await (const chunk of response.body!) count += chunk.length;
  return count;
}

async function up(): Promise<number> {
  let left = size;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = left < piece.length ? piece.subarray(0, left) : piece;
      left -= chunk.length;
      if (chunk.length > 0) controller.enqueue(chunk);
      if (left === 0) controller.close();
    },
  });
  const response = await relay.fetch(target, { method: "POST", body, duplex: "half" } as RequestInit);
  return Number(await response.text());
}

const results = await Promise.allSettled(
  Array.from({ length: Number(streams) }, direction === "up" ? up : down),
);
const whole = results.filter((result) => result.status === "fulfilled" && result.value === size).length;
const failure = results.find((result) => result.status === "rejected");
process.send!({ whole, failure: failure === undefined ? undefined : String(failure.reason) });
process.disconnect?.();

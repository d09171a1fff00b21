import { request } from "node:https";

/** A node asks each second until it has proven its address. */
const IN_SERVICE_MS = 20_000;
const POLL_MS = 50;
const ANSWER_MS = 2_000;

/**
 * Waits until a node has proven its address and serves.
 *
 * @param ca PEM of the authority that the node's certificate chains to
 * @throws Error with what the node says, where it takes too long
 */
export async function untilInService(
  { id, port }: { readonly id: string; readonly port: number },
  ca: string,
): Promise<void> {
  const until = performance.now() + IN_SERVICE_MS;
  for (;;) {
    const { status, body } = await health(port, ca);
    if (status === 200) return;
    if (performance.now() > until) throw new Error(`${id} does not come into service: ${body}`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

/** The node's own word; status 0 where there is none. */
function health(port: number, ca: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve) => {
    const fail = (error: Error) => resolve({ status: 0, body: error.message });
    const asked = request(
      { host: "127.0.0.1", port, path: "/healthz", servername: "localhost", ca, agent: false },
      (answer) => {
        let body = "";
        answer.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
        answer.once("error", fail).once("end", () => resolve({ status: answer.statusCode ?? 0, body }));
      },
    );
    asked.setTimeout(ANSWER_MS, () => asked.destroy(new Error("it does not answer")));
    asked.once("error", fail).end();
  });
}

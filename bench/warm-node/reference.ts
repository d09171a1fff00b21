import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { Pool } from "undici";

/**
 * The least that Node and undici can do of a relay's work: HTTPS in, the request passed on by `dispatch` over warm connections, the answer
 * passed back. No grant, no record, no limit, no line of a log.
 *
 *   node reference.ts HOST PORT CERT KEY TARGET
 */
const [host = "", port = "", cert = "", key = "", target = ""] = process.argv.slice(2);
const { origin, pathname, host: authority } = new URL(target);
const pool = new Pool(origin, { connections: 256 });

createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  request.resume();
  pool.dispatch(
    {
      path: pathname,
      method: "GET",
      headers: ["host", authority, "Accept", "application/json", "User-Agent", "bench/1"],
    },
    {
      onRequestStart() {},
      onResponseStart(controller, status) {
        response.writeHead(
          status,
          (controller.rawHeaders as Buffer[]).map((value) => value.toString("latin1")),
        );
      },
      onResponseData(_controller, chunk) {
        response.write(chunk);
      },
      onResponseEnd() {
        response.end();
      },
      onResponseError() {
        response.destroy();
      },
    },
  );
}).listen(Number(port), host);

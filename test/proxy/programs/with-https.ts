import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";

/** Under NODE_USE_ENV_PROXY=1 nothing in a program says that there is a proxy. */

const url = process.argv[2]!;
const { get } = url.startsWith("https:") ? https : http;
const [response] = (await once(get(url), "response")) as [IncomingMessage];
const body = await text(response);
if (response.statusCode !== 200) {
  throw new Error(`${response.statusCode} ${response.statusMessage} ${body}`);
}
console.log(body);

import { PLATFORM_ANSWER_MAX_BYTES } from "../limits.ts";
import { nodeFs, nodeHttp, valueOf } from "./environment.ts";
import { type Platform, platformFailure, type TokenAsk } from "./platform.ts";

/** Where a machine of Fly's has the API of the host that it runs on. */
const SOCKET = "/.fly/api";
const WHO = `Fly's API at ${SOCKET}`;

/** A machine of Fly's (Fly's "OpenID Connect Integration"): its host's API, behind a socket in the file system, mints tokens. */
export function flyPlatform(socketPath = SOCKET): Platform {
  return {
    title: "Fly",
    knownBy: `FLY_APP_NAME with ${SOCKET}`,
    isHere: (env) => valueOf(env, "FLY_APP_NAME") !== undefined && nodeFs()?.existsSync(socketPath) === true,
    token: (ask) => askFly(socketPath, ask),
  };
}

/** The standard's fetch knows no sockets in the file system, so that it takes Node's `http`. */
function askFly(socketPath: string, { audience, signal }: TokenAsk): Promise<string> {
  const http = nodeHttp();
  if (http === undefined) throw platformFailure("this runtime can't open the socket of Fly's API");
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const noAnswer = (cause: Error) => {
    reject(signal.aborted ? (signal.reason as Error) : platformFailure(`${WHO} gave no answer`, cause));
  };
  const request = http.request(
    {
      socketPath,
      method: "POST",
      path: "/v1/tokens/oidc",
      headers: { host: "localhost", "content-type": "application/json" },
      signal,
    },
    (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => {
        text += chunk;
        if (text.length <= PLATFORM_ANSWER_MAX_BYTES) return;
        reject(platformFailure(`${WHO} answered more than ${PLATFORM_ANSWER_MAX_BYTES} bytes`));
        request.destroy();
      });
      answer.on("error", noAnswer);
      answer.on("end", () => {
        if (answer.statusCode === 200) resolve(text);
        else reject(platformFailure(`${WHO} answered ${answer.statusCode}`));
      });
    },
  );
  request.on("error", noAnswer);
  request.end(JSON.stringify({ aud: audience }));
  return promise;
}

import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import pino from "pino";
import { listenHttp } from "../../relay-node/listener.ts";
import { answerQuestions } from "./conversation.ts";

/** Runs by `startIsolated`: a host whose `net.ipv4.tcp_fastopen` is the question, and callers who ask for it at a node's listener. */

/** Calls that came with their first bytes in the SYN, since the host's start. */
function taken(): number {
  const [names = [], values = []] = readFileSync("/proc/net/netstat", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("TcpExt:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("TCPFastOpenPassive")]);
}

/** Linux looks at the setting as a listener begins. */
const listen = () =>
  listenHttp(
    { host: "127.0.0.1", port: 0 },
    {
      admit: () => true,
      request: (_request, response) => void response.end("ok"),
      isUpgrade: () => false,
      upgrade: () => {},
    },
    { headBytes: 16_384, headMs: 10_000, idleMs: 10_000 },
    pino({ level: "silent" }),
  );

async function call(port: number): Promise<string> {
  const args = ["-s", "--tcp-fastopen", "--noproxy", "*", `http://127.0.0.1:${port}/`];
  return (await promisify(execFile)("curl", args)).stdout;
}

async function answerTo(setting: number) {
  writeFileSync("/proc/sys/net/ipv4/tcp_fastopen", String(setting));
  const server = await listen();
  const { port } = server.address() as AddressInfo;
  const before = taken();
  const answers: string[] = [];
  for (let at = 0; at < 3; at++) answers.push(await call(port));
  server.close();
  return { answers, taken: taken() - before };
}

answerQuestions(answerTo);

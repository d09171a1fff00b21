import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net, { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findNssWrapper } from "../../cli/agent/nss-map.ts";
import { type Ran, type UnderAgent, underAgent } from "../support/tunnel-child.ts";

/**
 * Programs with every kind of resolver, under the agent alone: does the name lead to the listener, whatever asks for it?
 */

const HOST = "web.holdfast-test.example";
const PORT = 8_080;
const ORIGINAL = "127.0.0.1 localhost\n192.0.2.1 kept.example\n";
const PYTHON = "/usr/bin/python3";

/** Connects, and prints what it is answered; then whether an IPv6 look-up of the name alone finds anything else. */
const PYTHON_PROGRAM = `
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(s.makefile().read().splitlines()[-1])
try:
    print([a[4][0] for a in socket.getaddrinfo(sys.argv[1], None, socket.AF_INET6)])
except socket.gaierror:
    print([])
`;

const GO_PROGRAM = `package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	connection, failure := net.Dial("tcp", os.Args[1])
	if failure != nil {
		panic(failure)
	}
	fmt.Fprint(connection, "GET / HTTP/1.0\\r\\n\\r\\n")
	io.Copy(os.Stdout, connection)
}
`;

let server: net.Server;
let port: number;
let folder: string;
let hosts: string;
let goProgram: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-names-"));
  hosts = join(folder, "hosts");
  goProgram = join(folder, "program");
  writeFileSync(join(folder, "main.go"), GO_PROGRAM);
  await promisify(execFile)("go", ["build", "-o", goProgram, "main.go"], {
    cwd: folder,
    env: { ...process.env, CGO_ENABLED: "0", GO111MODULE: "off", GOFLAGS: "" },
  });
  // What psql sends first is no HTTP: it is refused in PostgreSQL's own words.
  server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (first: Buffer) => {
      if (first.toString("latin1").startsWith("GET")) socket.end("HTTP/1.0 200 OK\r\n\r\nhello\n");
      else if (first.readInt32BE(4) === 80_877_103) socket.write("N");
      socket.once("data", () => socket.end(postgresError("this is the listener")));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});

beforeEach(() => writeFileSync(hosts, ORIGINAL));

afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

/** ErrorResponse of PostgreSQL's protocol. */
function postgresError(text: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C08000\0M${text}\0\0`);
  const head = Buffer.alloc(5, "E");
  head.writeInt32BE(4 + fields.length, 1);
  return Buffer.concat([head, fields]);
}

function run(command: readonly string[], options: Partial<UnderAgent> = {}): Promise<Ran> {
  return underAgent({ flags: { to: [`${HOST}:${PORT}`] }, port, hosts, ...options }, command);
}

describe("by the hosts file", () => {
  test("a static Go program with Go's own resolver", async () => {
    const ran = await run([goProgram, `${HOST}:${PORT}`], { env: { GODEBUG: "netdns=go" } });
    expect(ran.stdout, ran.stderr).toContain("hello");
  });

  test("a static busybox", async () => {
    const ran = await run(["busybox", "wget", "-qO-", `http://${HOST}:${PORT}/`]);
    expect(ran, ran.stderr).toMatchObject({ code: 0, stdout: "hello\n" });
  });

  test("Python, also where it asks for IPv6 alone", async () => {
    const ran = await run([PYTHON, "-c", PYTHON_PROGRAM, HOST, String(PORT)]);
    expect(ran, ran.stderr).toMatchObject({ code: 0, stdout: "hello\n[]\n" });
  });

  test("psql", async () => {
    const ran = await run(["psql", `postgres://u@${HOST}:${PORT}/x`]);
    expect(ran.stderr).toContain("this is the listener");
  });
});

describe("by nss_wrapper, where the hosts file can't be written", () => {
  const nss = { isHostsWritable: false } as const;

  test.for([
    ["Python", [PYTHON, "-c", PYTHON_PROGRAM, HOST, String(PORT)], "hello\n[]\n"],
    [
      "a program in a shell",
      ["sh", "-c", `true; ${PYTHON} -c "$0" ${HOST} ${PORT}`, PYTHON_PROGRAM],
      "hello\n[]\n",
    ],
  ] as const)("%s", async ([, command, expected]) => {
    const ran = await run(command, nss);
    expect(ran.stderr).toContain("names: nss");
    expect(ran, ran.stderr).toMatchObject({ code: 0, stdout: expected });
  });

  test("psql", async () => {
    const ran = await run(["psql", `postgres://u@${HOST}:${PORT}/x`], nss);
    expect(ran.stderr).toContain("names: nss");
    expect(ran.stderr).toContain("this is the listener");
  });

  test("the system's names are there still, and one of the same host is not", async () => {
    writeFileSync(hosts, `${ORIGINAL}192.0.2.9 ${HOST} other.example\n`);
    const ran = await run(["getent", "ahostsv4", "kept.example", HOST, "other.example"], nss);
    expect(ran.stdout).toContain("192.0.2.1");
    const one = await run(["getent", "ahostsv4", HOST], nss);
    expect(one.stdout).not.toContain("192.0.2.9");
    const other = await run(["getent", "ahostsv4", "other.example"], nss);
    expect(other.stdout).toContain("192.0.2.9");
  });

  test("what was preloaded stays, and the private file is gone afterwards", async () => {
    const library = findNssWrapper({})!;
    const env = { LD_PRELOAD: "libc.so.6", TMPDIR: folder };
    const print = 'echo "$LD_PRELOAD"; stat -c "%a %n" "$NSS_WRAPPER_HOSTS" "${NSS_WRAPPER_HOSTS%/hosts}"';
    const ran = await run(["sh", "-c", print], { ...nss, env });
    const [preload, file, around] = ran.stdout.split("\n");
    expect(preload).toBe(`libc.so.6:${library}`);
    expect(file).toMatch(/^600 .*\/hosts$/);
    expect(around).toMatch(/^700 /);
    expect(readdirSync(folder).filter((name) => name.startsWith("holdfast-"))).toEqual([]);
    expect(readFileSync(hosts, "utf8")).toBe(ORIGINAL);
  });
});

describe("by a variable, where neither can be had", () => {
  test("psql keeps the host's name with verify-full, and connects to the listener", async () => {
    const ran = await run(["sh", "-c", 'echo "$URL"; psql "$URL"'], {
      isHostsWritable: false,
      flags: { to: [`${HOST}:${PORT}`], names: "env", env: ["URL"] },
      env: { URL: `postgres://u@${HOST}:${PORT}/x?sslmode=verify-full` },
    });
    expect(ran.stdout).toContain(`@${HOST}:${PORT}/x?sslmode=verify-full&hostaddr=127.`);
    expect(ran.stderr).toContain("server does not support SSL");
    expect(ran.stderr).toContain(`opened ${HOST}:${PORT}`);
  });
});

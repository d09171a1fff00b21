import { readFileSync } from "node:fs";
import { SocksClient } from "socks";
import { ProxyAgent, request } from "undici";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { HOST, type ProxyBench, startProxyBench } from "../support/proxy-bench.ts";
import { readRaw } from "../support/raw-http.ts";
import { run } from "../support/run.ts";

let bench: ProxyBench;

beforeAll(async () => {
  bench = await startProxyBench();
});
afterAll(() => bench.close());
afterEach(() => bench.reset());

describe("programs by the local proxies", () => {
  const env = () => ({
    http_proxy: bench.urls.http,
    https_proxy: bench.urls.http,
    HTTPS_PROXY: bench.urls.http,
    HTTP_PROXY: bench.urls.http,
    NO_PROXY: "",
    no_proxy: "",
    NODE_USE_ENV_PROXY: "1",
    NODE_EXTRA_CA_CERTS: bench.caFile,
    SSL_CERT_FILE: bench.caFile,
  });
  const fetchAll = (scheme: string) =>
    `const r = await fetch("${scheme}://${HOST}/node?a=1"); console.log(r.status, await r.text())`;
  const urllib = (scheme: string) =>
    `import urllib.request as u; r = u.urlopen("${scheme}://${HOST}/node?a=1"); print(r.status, r.read().decode())`;

  test.each([
    ["curl, plain", "curl", ["-sS", `http://${HOST}/node?a=1`, "-w", "%{http_code}"], "GET /node?a=1200", 80],
    ["curl, TLS", "curl", ["-sS", `https://${HOST}/node?a=1`, "-w", "%{http_code}"], "GET /node?a=1200", 443],
    [
      "node, plain",
      process.execPath,
      ["--input-type=module", "-e", fetchAll("http")],
      "200 GET /node?a=1\n",
      80,
    ],
    [
      "node, TLS",
      process.execPath,
      ["--input-type=module", "-e", fetchAll("https")],
      "200 GET /node?a=1\n",
      443,
    ],
    ["Python's urllib, plain", "python3", ["-c", urllib("http")], "200 GET /node?a=1\n", 80],
    ["Python's urllib, TLS", "python3", ["-c", urllib("https")], "200 GET /node?a=1\n", 443],
  ])("%s, by the variables", async (_, file, args, stdout, port) => {
    const extra = file === "curl" ? ["--cacert", bench.caFile] : [];
    const ran = await run(file, [...args, ...extra], { env: env() });
    expect(ran).toMatchObject({ code: 0, stdout, stderr: "" });
    expect(bench.relay.asked).toEqual([`${HOST}:${port}`]);
    expect(JSON.stringify(bench.seen)).not.toMatch(/proxy/i);
  });

  test.each([
    ["curl by CONNECT for plain HTTP", ["-p", "-x", () => bench.urls.http, `http://${HOST}/x`]],
    ["curl by SOCKS, the name resolved here", ["-x", () => bench.urls.socks, `http://${HOST}/x`]],
    ["curl by SOCKS with TLS", ["-x", () => bench.urls.socks, `https://${HOST}/x`]],
  ] as [string, (string | (() => string))[]][])("%s", async (_, args) => {
    const given = args.map((arg) => (typeof arg === "string" ? arg : arg()));
    const ran = await run("curl", ["-sS", "--cacert", bench.caFile, ...given]);
    expect(ran).toMatchObject({ code: 0, stdout: "GET /x", stderr: "" });
  });

  test("curl with a wrong password", async () => {
    const wrong = bench.urls.http.replace(bench.credentials.password, "wrong");
    const one = await run("curl", ["-sS", "-x", wrong, `http://${HOST}/x`, "-w", "%{http_code}"]);
    expect(one.stdout).toContain("407");
    const other = await run("curl", [
      "-sS",
      "-x",
      bench.urls.socks.replace(bench.credentials.password, "no"),
      `http://${HOST}/`,
    ]);
    expect(other.code).toBe(97);
    expect(bench.relay.asked).toEqual([]);
  });

  test("undici's ProxyAgent", async () => {
    const agent = new ProxyAgent({
      uri: `http://127.0.0.1:${bench.ports.http}`,
      token: bench.basic.slice("Proxy-Authorization: ".length),
      requestTls: { ca: readFileSync(bench.caFile, "utf8") },
    });
    for (const path of ["/1", "/2"]) {
      const { body } = await request(`https://${HOST}${path}`, { dispatcher: agent });
      expect(await body.text()).toBe(`GET ${path}`);
    }
    expect(new Set(bench.relay.asked)).toEqual(new Set([`${HOST}:443`]));
    await agent.close();
  });

  test.each([
    ["a name", "db.relay.test", 5432, "db.relay.test:5432"],
    ["an IPv4 address", "192.0.2.7", 7, "192.0.2.7:7"],
    ["an IPv6 address", "2001:db8:0:0::5", 7, "2001:db8::5:7"],
  ])("a SOCKS library by %s, with half-close", async (_, host, port, asked) => {
    const { socket } = await SocksClient.createConnection({
      proxy: {
        host: "127.0.0.1",
        port: bench.ports.socks,
        type: 5,
        userId: bench.credentials.user,
        password: bench.credentials.password,
      },
      command: "connect",
      destination: { host, port },
    });
    socket.end("to the end");
    expect(await readRaw(socket)).toBe("to the end");
    expect(bench.relay.asked).toEqual([asked]);
  });

  test("what is not named goes direct", async () => {
    const direct = `http://127.0.0.1:${bench.ports.plain}/direct`;
    expect(await run("curl", ["-sS", "--noproxy", "", "-x", bench.urls.http, direct])).toMatchObject({
      code: 0,
      stdout: "GET /direct",
    });
    expect(await run("curl", ["-sS", "--noproxy", "", "-x", bench.urls.socks, direct])).toMatchObject({
      code: 0,
      stdout: "GET /direct",
    });
    expect(bench.relay.asked).toEqual([]);
  });
});

import { resolve } from "node:path";
import { expect, test } from "vitest";
import { run } from "./support/run.ts";
import { freePort } from "./support/stack.ts";

/** What examples show of a failure; that they work is tested with the doors that they are for. */

const AXIOS = resolve(import.meta.dirname, "../examples/proxy/axios.mjs");

test.each(["https", "http"])(
  "axios tells why a proxy failed for an %s:// target, and no password",
  async (scheme) => {
    const port = await freePort();
    const env = { PROXY_URL: `http://shop:hf_secret@127.0.0.1:${port}` };
    const ran = await run(process.execPath, [AXIOS, `${scheme}://127.0.0.1/`], { env });
    expect([ran.code, ran.stdout]).toEqual([1, ""]);
    expect(ran.stderr).toContain(`ECONNREFUSED 127.0.0.1:${port}`);
    expect(ran.stderr).not.toContain("hf_secret");
  },
);

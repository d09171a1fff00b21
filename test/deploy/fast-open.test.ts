import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startIsolated } from "../support/isolated.ts";

/** What docs/deploy.md says of TCP Fast Open. */

const DEPLOY = resolve(import.meta.dirname, "../../docs/deploy.md");

test("callers who ask for TCP Fast Open are answered as ever, and sooner with the setting that is told", async () => {
  const told = Number(/net\.ipv4\.tcp_fastopen = (\d+)/.exec(readFileSync(DEPLOY, "utf8"))?.[1]);
  const host = await startIsolated(resolve(import.meta.dirname, "../support/isolated-fast-open.ts"));
  onTestFinished(() => host.stop());
  const answers = ["ok", "ok", "ok"];
  // As Linux comes.
  expect(await host.ask(1)).toEqual({ answers, taken: 0 });
  // The first call fetches its cookie.
  expect(await host.ask(told)).toEqual({ answers, taken: 2 });
});

import { describe, expect, test } from "vitest";
import { StartLines } from "../../relay-node/proxy/start-lines.ts";

/** Whether these bytes are taken, in one piece and byte by byte. */
function verdicts(...messages: readonly string[]): boolean[] {
  return [(text: string) => [text], (text: string) => text.split("")].map((cut) => {
    const lines = new StartLines();
    for (const message of messages) {
      lines.next();
      for (const piece of cut(message)) lines.push(Buffer.from(piece, "latin1"));
    }
    return lines.isStrict;
  });
}

const GET = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
const POST = "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nPOST  x\n\n";
const CONNECT = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
const UPGRADE = "GET /x HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: connect-tcp\r\n\r\n";

describe("taken:", () => {
  test.each([
    ["one request", [GET]],
    ["several, without waiting", [GET + GET + CONNECT]],
    ["several, one behind the other", [GET, POST, GET, POST, CONNECT]],
    ["an empty line before one", [`\r\n${GET}`, `\r\n${GET}`]],
    ["a body that looks like anything", [POST, GET]],
    ["what comes behind CONNECT", [`${CONNECT}\n\n  nonsense\n`]],
    ["what comes behind an upgrade", [`${UPGRADE}\n\n  nonsense\n`]],
    ["half a line", ["GET http://a"]],
    ["nothing", [""]],
  ])("%s", (_what, messages) => expect(verdicts(...messages)).toEqual([true, true]));
});

describe("not taken:", () => {
  test.each([
    ["two spaces", ["GET  http://a.test/ HTTP/1.1\r\n"]],
    ["two spaces behind the target", ["GET http://a.test/  HTTP/1.1\r\n"]],
    ["a space at the end", ["GET http://a.test/ HTTP/1.1 \r\n"]],
    ["a space in front", [` ${GET}`]],
    ["a bare line feed in front", [`\n${GET}`]],
    ["a bare carriage return in front", [`\r${GET}`]],
    ["two empty lines in front", [`\r\n\r\n${GET}`]],
    ["a bare line feed at its end", ["GET http://a.test/ HTTP/1.1\n"]],
    ["no version", ["GET http://a.test/\r\n"]],
    ["another version", ["GET http://a.test/ HTTP/2.0\r\n"]],
    ["another protocol", ["GET http://a.test/ RTSP/1.0\r\n"]],
    ["a second request that is not", [GET, "GET  http://a.test/ HTTP/1.1\r\n"]],
    ["one behind another that was not waited for", [`${GET}GET  http://a.test/ HTTP/1.1\r\n`]],
    ["one behind a body", [POST, "GET  http://a.test/ HTTP/1.1\r\n"]],
  ])("%s", (_what, messages) => expect(verdicts(...messages)).toEqual([false, false]));

  test("what came right after one that was not", () => {
    expect(verdicts("GET  x HTTP/1.1\r\n\r\n", GET)).toEqual([false, false]);
  });
});

import { expect, test } from "vitest";
import { connectTcpTarget } from "../../protocol/connect-tcp.ts";

const PREFIX = "/.well-known/masque/tcp/";

test.each([
  ["db.example.com/5432/", "db.example.com:5432"],
  ["DB.Example.com/1/", "db.example.com:1"],
  ["192.0.2.1/65535/", "192.0.2.1:65535"],
  ["2001%3Adb8%3A%3A1/443/", "[2001:db8::1]:443"],
  ["2001%3adb8%3a%3a1/443/", "[2001:db8::1]:443"],
  ["a%2Eb/443/", "a.b:443"],
])("%s is %s", (path, authority) => {
  expect(connectTcpTarget(PREFIX + path).authority).toBe(authority);
});

test.each([
  "a.b/443",
  "a.b/443/?x",
  "a.b/443//",
  "a.b/443/x/",
  "/443/",
  "a.b//",
  "a.b/+443/",
  "a.b/0443/",
  "a.b/0/",
  "a.b/65536/",
  "a.b/%34%34%33/",
  "a.b/*/",
  "*/443/",
  "a.b%/443/",
  "a.b%2/443/",
  "a.b%zz/443/",
  "2001:db8::1/443/",
  "%5B%3A%3A1%5D/443/",
  "[::1]/443/",
  "fe80%3A%3A1%25eth0/443/",
  "2001%3Adb8%3A0%3A%3A1/443/",
  "192.0.2.1%2C192.0.2.2/443/",
  "192.0.2.1,192.0.2.2/443/",
  "0x7f.1/443/",
  "0177.0.0.1/443/",
  "2130706433/443/",
  "127.1/443/",
  "a.b./443/",
  "user%40a.b/443/",
  "a.b%2Fc/443/",
  "a.b%00/443/",
  "%C3%A9.test/443/",
  "a%253A/443/",
  "a.b%3A80/443/",
])("%s is refused", (path) => {
  const code = expect.stringMatching(/^(request_invalid|url_invalid)$/) as unknown;
  expect(() => connectTcpTarget(PREFIX + path)).toThrow(expect.objectContaining({ code }));
});

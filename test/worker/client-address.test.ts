import { describe, expect, test } from "vitest";
import { clientAddress } from "../../worker/client-address.ts";

interface Case {
  readonly what: string;
  readonly cf?: object;
  readonly fields?: Readonly<Record<string, string>>;
  readonly header?: string;
  readonly address: string | undefined;
}

const FORGED = { "CF-Connecting-IP": "192.0.2.1", "X-Real-IP": "192.0.2.1", "X-Forwarded-For": "192.0.2.1" };

const CASES: readonly Case[] = [
  { what: "workerd", cf: { clientIp: "203.0.113.10:51234" }, address: "203.0.113.10" },
  { what: "workerd, IPv6", cf: { clientIp: "[2001:DB8::7]:51234" }, address: "2001:db8::7" },
  {
    what: "workerd, a dual-stack listener",
    cf: { clientIp: "[::ffff:203.0.113.10]:5" },
    address: "203.0.113.10",
  },
  { what: "workerd, no port", cf: { clientIp: "203.0.113.10" }, address: "203.0.113.10" },
  {
    what: "workerd, forged fields",
    cf: { clientIp: "203.0.113.10:5" },
    fields: FORGED,
    address: "203.0.113.10",
  },
  {
    what: "workerd, no address, forged fields",
    cf: { clientIp: "unix:/run/x" },
    fields: FORGED,
    address: undefined,
  },
  {
    what: "Cloudflare",
    cf: { colo: "FRA" },
    fields: { "CF-Connecting-IP": "203.0.113.10" },
    address: "203.0.113.10",
  },
  {
    what: "Cloudflare, IPv6",
    cf: { colo: "FRA" },
    fields: { "CF-Connecting-IP": "2001:db8::7" },
    address: "2001:db8::7",
  },
  {
    what: "Cloudflare, without the field",
    cf: { colo: "FRA" },
    fields: { "X-Real-IP": "192.0.2.1" },
    address: undefined,
  },
  { what: "neither of them, forged fields", fields: FORGED, address: undefined },
  { what: "neither of them, an empty cf", cf: {}, fields: FORGED, address: undefined },
  {
    what: "a proxy of one's own",
    header: "x-real-ip",
    fields: { "X-Real-IP": "203.0.113.10" },
    address: "203.0.113.10",
  },
  {
    what: "a proxy before workerd, whose peer is the proxy",
    cf: { clientIp: "127.0.0.1:5" },
    header: "x-real-ip",
    fields: { "X-Real-IP": "203.0.113.10", "CF-Connecting-IP": "192.0.2.1" },
    address: "203.0.113.10",
  },
  {
    what: "a proxy that left the field out",
    cf: { clientIp: "127.0.0.1:5" },
    header: "x-real-ip",
    address: undefined,
  },
  {
    what: "a proxy that let the caller's own in before",
    header: "x-forwarded-for",
    fields: { "X-Forwarded-For": "192.0.2.1, 203.0.113.10" },
    address: undefined,
  },
  { what: "a name", header: "x-real-ip", fields: { "X-Real-IP": "api.bank.com" }, address: undefined },
  { what: "five parts", header: "x-real-ip", fields: { "X-Real-IP": "203.0.113.10.1" }, address: undefined },
  {
    what: "a number too large",
    header: "x-real-ip",
    fields: { "X-Real-IP": "203.0.113.256" },
    address: undefined,
  },
  { what: "colons alone", header: "x-real-ip", fields: { "X-Real-IP": ":::" }, address: undefined },
  { what: "an empty field", header: "x-real-ip", fields: { "X-Real-IP": "" }, address: undefined },
];

describe("the address that a request came from", () => {
  test.each(CASES)("$what", ({ cf, fields, header, address }) => {
    const request = { headers: new Headers(fields), ...(cf !== undefined && { cf }) };
    expect(clientAddress(request, { clientAddressHeader: header })).toBe(address);
  });
});

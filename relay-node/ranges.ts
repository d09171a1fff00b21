/**
 * What the guard refuses: the special-purpose registries of IANA (RFC 6890 and its updates) and what clouds
 * serve to their own machines. The first match gives the reason, so narrower ranges stand before wider ones.
 */

/** Addresses that no public service has. An operator can open them. */
export const REFUSED_RANGES: readonly (readonly [cidr: string, reason: string])[] = [
  ["0.0.0.0/8", "this_network"],
  ["10.0.0.0/8", "private"],
  ["100.64.0.0/10", "shared"],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link_local"],
  ["172.16.0.0/12", "private"],
  ["192.0.0.0/24", "protocol"],
  ["192.0.2.0/24", "documentation"],
  ["192.31.196.0/24", "as112"],
  ["192.52.193.0/24", "amt"],
  ["192.88.99.0/24", "6to4"],
  ["192.168.0.0/16", "private"],
  ["192.175.48.0/24", "as112"],
  ["198.18.0.0/15", "benchmark"],
  ["198.51.100.0/24", "documentation"],
  ["203.0.113.0/24", "documentation"],
  ["224.0.0.0/4", "multicast"],
  ["255.255.255.255/32", "broadcast"],
  ["240.0.0.0/4", "reserved"],

  ["::/128", "unspecified"],
  ["::1/128", "loopback"],
  ["100::/64", "discard"],
  ["100:0:0:1::/64", "dummy"],
  ["2001::/23", "protocol"],
  ["2001:db8::/32", "documentation"],
  ["2620:4f:8000::/48", "as112"],
  ["3fff::/20", "documentation"],
  ["5f00::/16", "srv6"],
  ["fc00::/7", "private"],
  ["fe80::/10", "link_local"],
  ["fec0::/10", "site_local"],
  ["ff00::/8", "multicast"],
];

/**
 * IPv6 ranges whose addresses stand for an IPv4 one somewhere on the way. Nothing opens them: whoever means
 * the IPv4 address can write it. ISATAP, which is told by its interface id under any prefix, is a rule of the
 * guard's.
 */
export const CARRIER_RANGES: readonly (readonly [cidr: string, reason: string])[] = [
  ["::ffff:0:0/96", "ipv4_mapped"],
  ["::ffff:0:0:0/96", "ipv4_translated"],
  ["::/96", "ipv4_compatible"],
  ["64:ff9b::/96", "nat64"],
  ["64:ff9b:1::/48", "nat64"],
  ["2001::/32", "teredo"],
  ["2002::/16", "6to4"],
];

/**
 * Where clouds hand credentials to their own machines. Only an entry that names the very address opens one.
 */
export const METADATA_ADDRESSES: readonly string[] = [
  // Most clouds.
  "169.254.169.254",
  // AWS: container credentials, EKS pod identity (and over IPv6), instance metadata over IPv6.
  "169.254.170.2",
  "169.254.170.23",
  "fd00:ec2::23",
  "fd00:ec2::254",
  // Azure's WireServer, a public address by every registry.
  "168.63.129.16",
  // Google Cloud, IPv6-only machines.
  "fd20:ce::254",
  // Oracle Cloud: Classic, and IPv6.
  "192.0.0.192",
  "fd00:c1::a9fe:a9fe",
  // Alibaba Cloud.
  "100.100.100.200",
  "fd00:100::100:200",
  // Tencent Cloud.
  "169.254.0.23",
  // Volcano Engine.
  "100.96.0.96",
  // Scaleway.
  "169.254.42.42",
  "fd00:42::42",
  // Akamai (Linode).
  "fd00:a9fe:a9fe::1",
  // OpenStack.
  "fe80::a9fe:a9fe",
];

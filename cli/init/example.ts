/** What `holdfast init --example` prints: an answer file to fill in. */
export const EXAMPLE_ANSWERS = `// The answers of holdfast init. Lines that begin with // are comments.
{
  // The origin under which apps reach the edge.
  "edge": "https://edge.example.com",

  // Each node: a name of your choice, the host name that leads to it (the port is 8443 unless "port" says another), and
  // the static address that targets see. Behind a cloud's NAT the host has another one than the world sees:
  // { "bind": "10.0.0.5", "public": "203.0.113.20" }. Several nodes on one host share an address, each on a port of its own.
  "nodes": [
    { "id": "node-1", "host": "node-1.example.com", "region": "fra", "ipv4": "203.0.113.10" },
    { "id": "node-2", "host": "node-2.example.com", "region": "fra", "ipv4": { "bind": "10.0.0.5", "public": "203.0.113.20" } }
  ],

  // Who may use the relay, and for what. A key is made for each; a client that has a key of its own gives the public
  // half instead: "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "..." }].
  "clients": [
    { "id": "shop", "allow": ["https://api.bank.com/v1/*", "GET,HEAD https://*.vendor.io"] }
  ]

  // A proxy for software that can be given a proxy and nothing else, at https://proxy.example.com:9443: the name leads to
  // every node. In the clear, and only where that is wanted: "http": 9293, "socks5": 1080.
  // , "proxy": { "name": "proxy.example.com" }

  // Without a Cloudflare account, the edge in workerd on a host of your own:
  // , "selfHosted": { "listen": "0.0.0.0:443", "certificate": "files" }

  // With deploy/compose.yaml, where Caddy obtains the nodes' certificates:
  // , "certificates": "caddy"
}
`;

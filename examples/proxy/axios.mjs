import axios from "axios";
import { HttpsProxyAgent } from "https-proxy-agent";

const agent = new HttpsProxyAgent(process.env.PROXY_URL);
// Both, or an http:// URL would go past the proxy. axios's own reading of proxies stays out of it.
const api = axios.create({ httpAgent: agent, httpsAgent: agent, proxy: false, timeout: 30_000 });

const { data } = await api.get(process.argv[2]);
console.log(JSON.stringify(data));

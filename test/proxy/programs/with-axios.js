import axios from "axios";
import { HttpsProxyAgent } from "https-proxy-agent";

const agent = new HttpsProxyAgent(process.env.PROXY_URL);
const { data } = await axios.get(process.argv[2], { httpAgent: agent, httpsAgent: agent, proxy: false });
console.log(JSON.stringify(data));

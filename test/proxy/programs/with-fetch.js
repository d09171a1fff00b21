// Under NODE_USE_ENV_PROXY=1 nothing in a program says that there is a proxy.
const response = await fetch(process.argv[2]);
const text = await response.text();
if (!response.ok) throw new Error(`${response.status} ${response.statusText} ${text}`);
console.log(text);

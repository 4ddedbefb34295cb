// Azurite in memory, on a port of its own choice:   node serve.mjs ACCOUNT KEY CONTAINER...
// Makes the containers, prints the endpoint, and serves until its input ends (so also where whoever started it was killed).
import { createHmac } from "node:crypto";
import { createRequire } from "node:module";

const [account, key, ...containers] = process.argv.splice(2);
process.env.AZURITE_ACCOUNTS = `${account}:${key}`;
process.argv.push("--blobPort", "0", "--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck");
const { BlobServerFactory } = createRequire(import.meta.url)("azurite/dist/src/blob/BlobServerFactory");
const server = await new BlobServerFactory().createServer();
await server.start();
const endpoint = `${server.getHttpServerAddress()}/${account}`;

for (const container of containers) {
  const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2021-12-02" };
  const named = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`).join("");
  // Shared key, version 2009-09-19: the method, eleven empty headers, those of Azure, the resource with its query.
  const text = `PUT\n${"\n".repeat(11)}${named}/${account}/${account}/${container}\nrestype:container`;
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
  headers.authorization = `SharedKey ${account}:${signature}`;
  const made = await fetch(`${endpoint}/${container}?restype=container`, { method: "PUT", headers });
  if (!made.ok) throw new Error(`container ${container}: ${made.status} ${await made.text()}`);
}
console.log(endpoint);
process.stdin.resume().on("end", () => process.exit());

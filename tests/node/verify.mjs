// Verifies webhooks as receivers do: reads a JSON array of {secret, headers, body} and says of each whether it holds.
// `whsec_` by the reference library; `whpk_` by node's own ed25519, as Standard Webhooks describes `v1a`.
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const RAW_ED25519 = Buffer.from("302a300506032b6570032100", "hex");

function holds({ secret, headers, body }) {
  if (!secret.startsWith("whpk_")) {
    new Webhook(secret).verify(body, headers);
    return true;
  }
  const der = Buffer.concat([RAW_ED25519, Buffer.from(secret.slice("whpk_".length), "base64")]);
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  return headers["webhook-signature"]
    .split(" ")
    .filter((one) => one.startsWith("v1a,"))
    .some((one) => verify(null, signed, key, Buffer.from(one.slice("v1a,".length), "base64")));
}

const told = JSON.parse(readFileSync(0, "utf8")).map((one) => {
  try {
    return holds(one);
  } catch {
    return false;
  }
});
console.log(JSON.stringify(told));

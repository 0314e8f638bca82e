// Reads one JSON array from stdin, each entry {secret, headers, body (base64)}, and prints one: "" where the official
// library accepts the message, else why it does not.
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';

const verdicts = JSON.parse(await text(process.stdin)).map(({ secret, headers, body }) => {
  try {
    new Webhook(secret).verify(Buffer.from(body, 'base64'), headers);
    return '';
  } catch (e) {
    return e.message || String(e);
  }
});
console.log(JSON.stringify(verdicts));

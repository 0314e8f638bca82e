// A provider's system, by a FHIR client that shares no code with carehub: it subscribes, takes notifications, and finds out
// by their numbers what it has missed.
//
//   node subscriber.mjs BASE TOKEN FOLDER
//
// It does what each line of its standard input asks for, answers with a line of JSON, and writes into FOLDER every
// notification, and the newest answer to each kind of request.
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from 'fhir-kit-client';

const backport = 'http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/';
const [base, token, folder] = process.argv.slice(2);
const client = new Client({ baseUrl: base, bearerToken: token });

let server;
let port = 0;
let id; // of the Subscription
const types = []; // of notifications, in the order of arrival
const events = new Map(); // number -> focus, of notifications
const caughtUp = new Map(); // the same, of $events

function keep(name, resource) {
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(resource));
  return resource;
}

const value = (list, name) => {
  const { name: _, ...rest } = list.find((p) => p.name === name) ?? {};
  return Object.values(rest)[0];
};

function take(bundle, into) {
  const status = bundle.entry[0].resource;
  for (const { part } of status.parameter.filter((p) => p.name === 'notification-event')) {
    into.set(Number(value(part, 'event-number')), value(part, 'focus')?.reference);
  }
  return status.parameter;
}

async function listen() {
  server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const bundle = keep(`notification-${types.length + 1}`, JSON.parse(Buffer.concat(chunks).toString('utf8')));
      types.push(value(take(bundle, events), 'type'));
      response.writeHead(request.headers.authorization === 'Bearer of-the-receiver' ? 200 : 401).end();
    });
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  port = server.address().port;
}

const wishes = {
  async subscribe() {
    await listen();
    const body = {
      resourceType: 'Subscription',
      status: 'requested',
      reason: 'Events of our patients',
      criteria: `${base}/SubscriptionTopic/any`,
      channel: {
        extension: [
          { url: `${backport}backport-heartbeat-period`, valueUnsignedInt: 5 },
          { url: `${backport}backport-timeout`, valueUnsignedInt: 10 },
        ],
        type: 'rest-hook',
        endpoint: `http://127.0.0.1:${port}/notify`,
        payload: 'application/fhir+json',
        _payload: { extension: [{ url: `${backport}backport-payload-content`, valueCode: 'full-resource' }] },
        header: ['Authorization: Bearer of-the-receiver'],
      },
    };
    id = keep('create', await client.create({ resourceType: 'Subscription', body })).id;
    return { id };
  },
  async seen() {
    return { types, numbers: [...events.keys()] };
  },
  async read() {
    return { status: keep('read', await client.read({ resourceType: 'Subscription', id })).status };
  },
  async search() {
    const found = keep('search', await client.search({ resourceType: 'Subscription', searchParams: { status: 'active' } }));
    return { ids: found.entry.map((e) => e.resource.id) };
  },
  async count() {
    const answer = keep('status', await client.operation({ name: 'status', resourceType: 'Subscription', id, method: 'GET' }));
    return { count: Number(value(answer.entry[0].resource.parameter, 'events-since-subscription-start')) };
  },
  async stop() {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
    return {};
  },
  async start() {
    await listen();
    return {};
  },
  // What the numbers up to now say is missing, asked for by $events from the first of them on.
  async catchUp() {
    const { count } = await wishes.count();
    const missing = Array.from({ length: count }, (_, i) => i + 1).filter((n) => !events.has(n));
    if (missing.length > 0) {
      const input = { eventsSinceNumber: missing[0], eventsUntilNumber: count };
      take(keep(`events-${missing[0]}`, await client.operation({ name: 'events', resourceType: 'Subscription', id, method: 'GET', input })), caughtUp);
    }
    return { missing, found: [...caughtUp.keys()], nowhere: missing.filter((n) => !caughtUp.has(n)) };
  },
  // The same number must be the same event wherever it is told.
  async differences() {
    return { different: [...caughtUp.keys()].filter((n) => events.has(n) && events.get(n) !== caughtUp.get(n)) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify(await wishes[line.trim()]()));
  } catch (err) {
    console.log(JSON.stringify({ error: String(err?.message ?? err) + JSON.stringify(err?.response?.data ?? '') }));
  }
}
process.exit(0);

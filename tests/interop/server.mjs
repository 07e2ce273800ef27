// A real OAuth 2.0 server on a free loopback port. Prints one line of JSON when it listens, ends
// when its standard input does, and answers GET /verify with 204 or 401 by real introspection.
// CLOCK_SKEW shifts its clock by that many seconds.
import http from 'node:http';
import { Provider } from 'oidc-provider';

const SKEW = Number(process.env.CLOCK_SKEW ?? 0) * 1000;
const realNow = Date.now;
Date.now = () => realNow() + SKEW;

const SCOPES = 'all-apis model:predict';
const LIFETIMES = { short: 5, 'jwt-short': 5 };
// Clients whose tokens are JWTs for this audience.
const AUDIENCES = { jwt: 'urn:model', 'jwt-short': 'urn:model', 'jwt-other': 'urn:other' };
const WATCHER = { client_id: 'watcher', client_secret: 'watcher-secret' };

const client = (client_id, client_secret, token_endpoint_auth_method) => ({
  client_id,
  client_secret,
  token_endpoint_auth_method,
  scope: SCOPES,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
});

const configuration = {
  clients: [
    client('basic', 'plain-basic', 'client_secret_basic'),
    client('odd id:1', 'a+b%c d&e=:/~', 'client_secret_basic'),
    client('post', 'plain&post=+', 'client_secret_post'),
    client('short', 'plain-short', 'client_secret_basic'),
    ...Object.keys(AUDIENCES).map((id) => client(id, 'plain-jwt', 'client_secret_basic')),
    { ...client(WATCHER.client_id, WATCHER.client_secret, 'client_secret_basic'), scope: undefined },
  ],
  scopes: SCOPES.split(' '),
  ttl: { ClientCredentials: (_context, _token, { clientId }) => LIFETIMES[clientId] ?? 3600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_context, { clientId }) => AUDIENCES[clientId],
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, audience, { clientId }) => ({
        scope: SCOPES,
        audience,
        accessTokenTTL: LIFETIMES[clientId] ?? 3600,
        accessTokenFormat: 'jwt',
      }),
    },
    introspection: { enabled: true, allowedPolicy: () => true },
  },
};

let tokenRequests = 0;
let lastTokenRequest = { authorization: '', body: '' };
const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const base = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(base, configuration).callback();
  server.on('request', (request, response) => route(base, provider, request, response));
  console.log(JSON.stringify({ base }));
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

async function route(base, provider, request, response) {
  if (request.url === '/count') return response.end(String(tokenRequests));
  if (request.url === '/last') return response.end(JSON.stringify(lastTokenRequest));
  if (request.url === '/verify') {
    const active = await isActive(base, request.headers.authorization ?? '');
    response.writeHead(active ? 204 : 401);
    return response.end();
  }
  if (request.url === '/token') {
    tokenRequests += 1;
    const seen = { authorization: request.headers.authorization ?? '', body: '' };
    request.on('data', (piece) => { seen.body += piece; });
    lastTokenRequest = seen;
  }
  response.setHeader('date', new Date(Date.now()).toUTCString());
  return provider(request, response);
}

async function isActive(base, authorization) {
  const token = authorization.startsWith('Bearer ') ? authorization.slice('Bearer '.length) : '';
  if (!token) return false;
  const basic = Buffer.from(`${WATCHER.client_id}:${WATCHER.client_secret}`).toString('base64');
  const reply = await fetch(`${base}/token/introspection`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ token }),
  });
  return reply.ok && (await reply.json()).active === true;
}

/** Connections are counted before anything starts: a server that allows too few is refused with both numbers. */
import { Client } from 'pg';
import { expect, inject, test } from 'vitest';
import {
  connectionBudget,
  connectionsOf,
  POOL_CONNECTIONS_MAX,
} from '../../../src/adapters/postgres/connectionBudget.ts';
import { checkConnectionBudget } from '../../../src/adapters/postgres/requirements.ts';

test('each gateway and each actors process adds what it may have; the others are there once', () => {
  expect(connectionBudget({ gateways: 1, actors: 1 })).toBe(43);
  expect(connectionBudget({ gateways: 2, actors: 1 })).toBe(43 + POOL_CONNECTIONS_MAX.gateway);
  // Its heartbeats have one beside the pool.
  expect(connectionsOf('actors')).toBe(POOL_CONNECTIONS_MAX.actors + 1);
  expect(connectionBudget({ gateways: 1, actors: 2 })).toBe(43 + connectionsOf('actors'));
});

test('a server that allows as many is fit, one that allows one less is refused', async () => {
  const url = inject('databaseUrl');
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ most: number; reserved: number }>(
    "select current_setting('max_connections')::int as most, current_setting('superuser_reserved_connections')::int as reserved",
  );
  await client.end();
  const { most = 0, reserved = 0 } = rows[0] ?? {};
  const gateways = Math.floor((most - reserved - connectionBudget({ gateways: 0, actors: 1 })) / 4);
  await checkConnectionBudget(url, { gateways, actors: 1 });
  const needed = connectionBudget({ gateways: gateways + 1, actors: 1 });
  await expect(checkConnectionBudget(url, { gateways: gateways + 1, actors: 1 })).rejects.toThrow(
    `allows ${most - reserved} connections (max_connections ${most} less ${reserved} reserved), but the processes (gateways: ${gateways + 1}, actors: 1, query, reconciler, commands) may need ${needed}: set its max_connections to at least ${needed + reserved}`,
  );
});

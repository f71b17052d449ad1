// Speaks to a PostgreSQL port as a node program would, and prints one JSON line for each answer: node read-postgres.js PORT
import pg from 'pg';

const client = new pg.Client({ host: '127.0.0.1', port: Number(process.argv[2]), user: 'tester', database: 'millrace' });
const print = (name, value) => console.log(JSON.stringify({ name, value }));

const fails = async (name, query) => {
  try {
    await client.query(query);
    print(name, 'no error');
  } catch (error) {
    print(name, [error.code, error.position, error.hint ?? null]);
  }
};

await client.connect();
print('rows', (await client.query('SELECT id, country, amount, placed, paid FROM sales.orders WHERE id <= 2 ORDER BY id')).rows);
print('parameters', (await client.query('SELECT id FROM sales.orders WHERE country = $1 AND amount > $2 AND placed < $3 ORDER BY id', ['FR', 15, new Date('2024-03-02T00:00:00Z')])).rows);
print('array parameter', (await client.query('SELECT count(*)::INTEGER AS n FROM sales.orders WHERE id = ANY($1::BIGINT[])', [[1, 3, 5]])).rows);
print('types', (await client.query("SELECT true AS b, 7 AS i, 1.5::DOUBLE AS d, 'ü' AS s, [1, NULL, 3] AS l, {'a': 1} AS o, NULL AS n")).rows);
for (const value of [1, 2]) {
  print(`prepared ${value}`, (await client.query({ name: 'named', text: 'SELECT $1::INTEGER * 10 AS v', values: [value] })).rows);
}
print('live', (await client.query('SELECT country, orders::INTEGER AS orders FROM live.by_country ORDER BY country')).rows);
print('several', (await client.query('SELECT 1 AS a; SELECT 2 AS b')).map((r) => r.rows));
await fails('undefined column', 'SELECT countri FROM sales.orders');
await fails('undefined table', { text: 'SELECT * FROM sales.ordrs WHERE id = $1', values: [1] });
print('after errors', (await client.query('SELECT 1 AS one')).rows);
await client.query('BEGIN');
await fails('in a transaction', 'SELECT nope');
await fails('aborted', 'SELECT 1');
await client.query('ROLLBACK');
print('after rollback', (await client.query('SELECT 1 AS one')).rows);
await client.end();
